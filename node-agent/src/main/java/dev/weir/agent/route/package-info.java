/**
 * Where a captured connection goes: what its client asked for, held against the pods of this node
 * and the Services of the mesh, becomes a {@link dev.weir.agent.route.Decision}. The same code
 * decides and explains. Reads immutable snapshots, changes nothing, never blocks; event loops call
 * it.
 */
@NullMarked
package dev.weir.agent.route;

import org.jspecify.annotations.NullMarked;

/**
 * What the node knows of the mesh. {@link dev.weir.agent.config.XdsClient} follows the control
 * plane, by the line that {@link dev.weir.agent.identity.ControlLine} opens, on one thread of its
 * own ({@code config}), compiles each response into the next immutable {@link
 * dev.weir.agent.config.MeshView} and swaps it in by one volatile write; any thread reads {@link
 * dev.weir.agent.config.Mesh#current()} and never waits. When the control plane is gone, the last
 * view stays in force.
 */
@NullMarked
package dev.weir.agent.config;

import org.jspecify.annotations.NullMarked;

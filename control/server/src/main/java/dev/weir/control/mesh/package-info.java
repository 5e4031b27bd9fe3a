/**
 * Makes the mesh model from Kubernetes objects: one pure function of immutable values, run by the
 * source's thread.
 */
@NullMarked
package dev.weir.control.mesh;

import org.jspecify.annotations.NullMarked;

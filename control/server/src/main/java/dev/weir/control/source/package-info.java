/**
 * Where Kubernetes objects come from. A source runs one thread of its own, on which it hands over a
 * whole {@link dev.weir.control.source.Catalog} at each change; what it cannot read is named in it,
 * and what was good stays in force.
 */
@NullMarked
package dev.weir.control.source;

import org.jspecify.annotations.NullMarked;

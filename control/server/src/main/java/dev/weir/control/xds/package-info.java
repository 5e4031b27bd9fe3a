/**
 * Serves the mesh to nodes over delta ADS. {@link dev.weir.control.xds.XdsServer#publish} may be
 * called by one thread; it makes an immutable snapshot and swaps it in. All state of all streams
 * belongs to one thread, "xds", to which gRPC's threads only hand requests, at most one a stream,
 * so no queue grows. Who may follow is judged before a stream begins, by {@link
 * dev.weir.control.ca.Admission}; a stream ends with the token that it began with.
 */
@NullMarked
package dev.weir.control.xds;

import org.jspecify.annotations.NullMarked;

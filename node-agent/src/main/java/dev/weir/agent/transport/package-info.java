/**
 * How bytes enter and leave the process: the event loops, on io_uring or epoll, and sockets that
 * live in a pod's network namespace. {@link dev.weir.agent.transport.Transport} alone names a
 * transport; {@link dev.weir.agent.transport.PodSockets} owns the one platform thread that goes
 * into namespaces. Relays, DNS and the admin servers build on it; it knows of no routes.
 */
@NullMarked
package dev.weir.agent.transport;

import org.jspecify.annotations.NullMarked;

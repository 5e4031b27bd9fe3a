/**
 * HTTP/2 for tunnels between nodes and nothing more: CONNECT streams over one connection, client
 * and server (HBONE). A {@link dev.weir.agent.tunnel.TunnelSession} is the last handler of a
 * connection's pipeline, above TLS; it opens and accepts {@link
 * dev.weir.agent.tunnel.TunnelStream}s. Sockets, TLS and pools are others' work. Everything of a
 * session belongs to the event loop of its channel.
 */
@NullMarked
package dev.weir.agent.tunnel;

import org.jspecify.annotations.NullMarked;

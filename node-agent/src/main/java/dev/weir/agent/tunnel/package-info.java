/**
 * Tunnels between pods' agents (HBONE): CONNECT streams over one HTTP/2 connection in mutual TLS.
 * {@link dev.weir.agent.tunnel.Tunnels} is the door, {@link dev.weir.agent.tunnel.PodTunnels} has
 * those of one pod: it opens streams to other pods and hands on what others ask of it. A {@link
 * dev.weir.agent.tunnel.TunnelSession} is the last handler of a connection and knows frames and
 * windows alone; everything of it belongs to the event loop of its channel. Sockets come from
 * transport, TLS from identity; what a stream carries is the relay's. Into another network a {@link
 * dev.weir.agent.tunnel.Crossing} makes a tunnel inside a stream of one.
 */
@NullMarked
package dev.weir.agent.tunnel;

import org.jspecify.annotations.NullMarked;

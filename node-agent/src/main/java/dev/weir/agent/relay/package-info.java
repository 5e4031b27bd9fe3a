/**
 * Layer 4: accepts captured connections in pods' namespaces, connects onward, and copies bytes
 * until both ends are done, end as end and reset as reset. An end is a socket or a stream of a
 * tunnel; both belong to one event loop, so a connection needs no lock. {@link
 * dev.weir.agent.relay.Relays} is the door and follows the pods that capture enrols.
 */
@NullMarked
package dev.weir.agent.relay;

import org.jspecify.annotations.NullMarked;

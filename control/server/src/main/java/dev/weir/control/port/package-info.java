/**
 * Where the control plane is called: gRPC on a port, with TLS or, for tests, without. Bounds what
 * callers may cost before anybody knows who they are: connections in all, of one address, and of
 * strangers; bytes of headers and of messages. Runs on the event loops of the process; whoever
 * opens a port names its services, and {@link dev.weir.control.port.Connections} hears from the
 * room that judges callers whom it knows. What a service behind a port does one thing after the
 * other, it gives to a {@link dev.weir.control.port.Worker} of its own.
 */
@NullMarked
package dev.weir.control.port;

import org.jspecify.annotations.NullMarked;

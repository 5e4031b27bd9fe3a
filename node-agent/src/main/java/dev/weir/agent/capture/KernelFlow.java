package dev.weir.agent.capture;

import java.net.InetSocketAddress;
import org.jspecify.annotations.Nullable;

/**
 * A connection of an enrolled pod that the agent does not carry; one object a connection, the same
 * in every call of the sink.
 *
 * @param source null where the client's pod is no longer known
 * @param destination null where the server is no enrolled pod of this node
 * @param asked what the application named: a Service address or the server's own
 * @param service as in {@link Original#service}
 * @param openedNanos CLOCK_MONOTONIC, as System.nanoTime counts
 */
public record KernelFlow(
    @Nullable Pod source,
    @Nullable Pod destination,
    InetSocketAddress client,
    InetSocketAddress server,
    InetSocketAddress asked,
    int service,
    KernelPath path,
    long openedNanos) {}

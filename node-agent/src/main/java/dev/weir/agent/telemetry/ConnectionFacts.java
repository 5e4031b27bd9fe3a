package dev.weir.agent.telemetry;

import dev.weir.api.model.Service;
import java.net.InetSocketAddress;
import org.jspecify.annotations.Nullable;

/**
 * What is known of a connection when it opens.
 *
 * @param source the client, with its own address
 * @param destination who answers, with the address that was connected to
 * @param asked what the client named: a Service's address or the destination's own
 * @param service the Service that was named, if it was one
 */
public record ConnectionFacts(
    Reporter reporter,
    Party source,
    Party destination,
    InetSocketAddress asked,
    @Nullable Service service,
    Path path) {}

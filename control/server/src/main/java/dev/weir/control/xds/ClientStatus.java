package dev.weir.control.xds;

import java.time.Instant;
import org.jspecify.annotations.Nullable;

/**
 * A node as the control plane sees it.
 *
 * @param node its name, or its xDS id where it gives none
 * @param address where it connects from
 * @param tokenUntil until when its token lets it follow; null where it came without TLS and token
 * @param ackedVersion the generation that it has acknowledged in full; 0 before the first
 * @param nacks how many responses it has refused since it connected
 * @param lastNack its reason for the last of them; empty if there was none
 * @param since when it connected, or when it went
 */
public record ClientStatus(
    String node,
    String id,
    String address,
    @Nullable Instant tokenUntil,
    boolean connected,
    long ackedVersion,
    long nacks,
    String lastNack,
    Instant since) {}

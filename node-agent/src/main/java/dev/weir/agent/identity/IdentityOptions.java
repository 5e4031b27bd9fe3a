package dev.weir.agent.identity;

import java.nio.file.Path;
import java.time.Duration;
import org.jspecify.annotations.Nullable;

/**
 * Where certificates come from, and how long they hold.
 *
 * @param line to the CA
 * @param life asked for; the CA may give less
 * @param rootsWithin a change of the trusted roots is noticed within this time
 * @param crl null for none
 */
public record IdentityOptions(
    LineOptions line, Duration life, Duration rootsWithin, @Nullable Path crl) {}

package dev.weir.agent.identity;

import java.nio.file.Path;
import java.time.Duration;
import org.jspecify.annotations.Nullable;

/**
 * Where certificates come from.
 *
 * @param authority {@code host:port} of the CA
 * @param root PEM of the roots by which the CA's own certificate is judged
 * @param token the service account token's file, read at each request
 * @param life asked for; the CA may give less
 * @param rootsWithin a change of the trusted roots is noticed within this time
 * @param crl null for none
 */
public record IdentityOptions(
    String authority,
    Path root,
    Path token,
    Duration life,
    Duration rootsWithin,
    @Nullable Path crl) {}

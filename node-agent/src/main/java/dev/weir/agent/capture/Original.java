package dev.weir.agent.capture;

import java.net.InetSocketAddress;

/**
 * What a captured connection asked for.
 *
 * @param asked what the application named
 * @param picked the endpoint that the kernel picked, the same as asked where it picked none
 * @param service number of the Service port asked for ({@link ServiceTable#serviceAddress}), 0
 *     where asked is no Service
 */
public record Original(InetSocketAddress asked, InetSocketAddress picked, int service) {}

package dev.weir.control.ca;

import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Set;

/**
 * What the certificate authority is told.
 *
 * @param listen the TLS port
 * @param files where its key and certificates are
 * @param mostLife the longest life of a certificate, whatever is asked for
 * @param names DNS names and addresses under which nodes call the TLS port
 * @param tokenKeys JWK set or PEM public keys of who issues service account tokens
 * @param trustedNodeAccounts {@code namespace/name} of service accounts that may ask for pods of
 *     their node
 */
public record CaOptions(
    InetSocketAddress listen,
    AuthorityFiles files,
    Duration mostLife,
    List<String> names,
    Path tokenKeys,
    String tokenIssuer,
    String tokenAudience,
    Set<String> trustedNodeAccounts,
    String trustDomain) {
  public CaOptions {
    names = List.copyOf(names);
    trustedNodeAccounts = Set.copyOf(trustedNodeAccounts);
  }
}

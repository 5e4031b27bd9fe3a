package dev.weir.control.ca;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Set;

/**
 * What the certificate authority is told.
 *
 * @param files where its key and certificates are
 * @param mostLife the longest life of a certificate, whatever is asked for
 * @param names DNS names and addresses under which nodes call the TLS port
 * @param tokenKeys JWK set or PEM public keys of who issues service account tokens
 * @param trustedNodeAccounts {@code namespace/name} of service accounts that nodes' agents have:
 *     they may follow the mesh, and ask for the identities of their node's pods
 */
public record CaOptions(
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

package dev.weir.control.ca;

import java.nio.file.Path;

/**
 * Where an authority's three files are.
 *
 * @param certificate what signs, then its issuers up to but not including a root (PEM)
 * @param key its private key (PEM: PKCS#8, PKCS#1 or SEC 1)
 * @param roots all roots that are trusted now, more than one while roots change (PEM)
 * @param own whether they are Weir's to make where there are none
 */
public record AuthorityFiles(Path certificate, Path key, Path roots, boolean own) {
  /** A folder that Weir fills at first start. */
  public static AuthorityFiles ownIn(Path folder) {
    return new AuthorityFiles(
        folder.resolve("ca.crt"), folder.resolve("ca.key"), folder.resolve("roots.pem"), true);
  }

  /** A mounted secret as cert-manager and {@code kubernetes.io/tls} lay it out. */
  public static AuthorityFiles secretIn(Path folder) {
    return new AuthorityFiles(
        folder.resolve("tls.crt"), folder.resolve("tls.key"), folder.resolve("ca.crt"), false);
  }

  public static AuthorityFiles given(Path certificate, Path key, Path roots) {
    return new AuthorityFiles(certificate, key, roots, false);
  }
}

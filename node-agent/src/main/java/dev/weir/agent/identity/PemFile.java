package dev.weir.agent.identity;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.List;

/** Certificates from PEM, and whether a file is still the one that was read. */
final class PemFile {
  private static final long MOST_BYTES = 4 << 20;

  private PemFile() {}

  static List<X509Certificate> certificates(String pem) throws CertificateException {
    List<X509Certificate> all = new ArrayList<>();
    for (var each :
        CertificateFactory.getInstance("X.509")
            .generateCertificates(
                new ByteArrayInputStream(pem.getBytes(StandardCharsets.ISO_8859_1)))) {
      all.add((X509Certificate) each);
    }
    return all;
  }

  static byte[] read(Path file) throws IOException {
    long size = Files.size(file);
    if (size > MOST_BYTES) {
      throw new IOException(size + " bytes (expected: at most " + MOST_BYTES + ")");
    }
    return Files.readAllBytes(file);
  }

  /** Tells one version of a file from another; the same text for all times without one. */
  static String print(Path file) {
    try {
      BasicFileAttributes seen = Files.readAttributes(file, BasicFileAttributes.class);
      return seen.lastModifiedTime() + " " + seen.size() + " " + seen.fileKey();
    } catch (IOException e) {
      return "absent";
    }
  }
}

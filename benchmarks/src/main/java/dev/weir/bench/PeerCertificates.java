package dev.weir.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;

/**
 * A root and two certificates for the Envoy pair: ECDSA P-256 with a SPIFFE name, as Weir's own
 * are. By the JDK's keytool, so that nothing need be installed.
 */
final class PeerCertificates {
  private static final String PASSWORD = "weir-bench";

  private PeerCertificates() {}

  /** Leaves ca.crt, and for each name its .crt and .key, in the folder. */
  static void issue(Path folder, List<String> names) throws IOException {
    Path store = folder.resolve("peers.p12");
    keytool(
        store,
        List.of(
            "-alias",
            "ca",
            "-dname",
            "CN=bench",
            "-ext",
            "bc:c=ca:true",
            "-ext",
            "ku:c=keyCertSign"));
    for (String name : names) {
      keytool(
          store,
          List.of(
              "-alias",
              name,
              "-signer",
              "ca",
              "-dname",
              "CN=" + name,
              "-ext",
              "eku=serverAuth,clientAuth",
              "-ext",
              "san=uri:spiffe://cluster.local/ns/bench/sa/" + name));
    }
    try {
      KeyStore keys = KeyStore.getInstance(store.toFile(), PASSWORD.toCharArray());
      write(folder.resolve("ca.crt"), "CERTIFICATE", certificate(keys, "ca").getEncoded());
      for (String name : names) {
        write(folder.resolve(name + ".crt"), "CERTIFICATE", certificate(keys, name).getEncoded());
        write(
            folder.resolve(name + ".key"),
            "PRIVATE KEY",
            keys.getKey(name, PASSWORD.toCharArray()).getEncoded());
      }
    } catch (GeneralSecurityException e) {
      throw new IOException("certificates for the Envoy pair: " + e.getMessage(), e);
    }
  }

  private static Certificate certificate(KeyStore keys, String name)
      throws GeneralSecurityException, IOException {
    Certificate certificate = keys.getCertificate(name);
    if (certificate == null) {
      throw new IOException("keytool made no certificate of " + name);
    }
    return certificate;
  }

  private static void write(Path file, String what, byte[] der) throws IOException {
    String text = Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(der);
    Files.writeString(
        file, "-----BEGIN %s-----\n%s\n-----END %s-----\n".formatted(what, text, what));
  }

  private static void keytool(Path store, List<String> arguments) throws IOException {
    List<String> command =
        new ArrayList<>(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "keytool").toString(),
                "-genkeypair",
                "-keystore",
                store.toString(),
                "-storetype",
                "PKCS12",
                "-storepass",
                PASSWORD,
                "-keyalg",
                "EC",
                "-groupname",
                "secp256r1",
                "-validity",
                "2"));
    command.addAll(arguments);
    Command.output(command, Duration.ofMinutes(1));
  }
}

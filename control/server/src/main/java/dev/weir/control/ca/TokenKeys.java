package dev.weir.control.ca;

import dev.weir.api.json.Json;
import dev.weir.api.json.JsonException;
import dev.weir.control.log.Log;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.security.AlgorithmParameters;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PublicKey;
import java.security.spec.ECGenParameterSpec;
import java.security.spec.ECParameterSpec;
import java.security.spec.ECPoint;
import java.security.spec.ECPublicKeySpec;
import java.security.spec.RSAPublicKeySpec;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * The keys by which service account tokens are signed, from a file that is read again when it
 * changes. One thread.
 */
final class TokenKeys {
  private static final long LOOK_NANOS = TimeUnit.SECONDS.toNanos(1);

  /** A key, and the kid by which tokens name it; empty where the file has none. */
  record Key(String id, PublicKey key) {}

  private final Path file;
  private final Log log;
  private List<Key> keys = List.of();
  private String problem = "it was not read yet";
  private String seen = "";
  private long lookedNanos = System.nanoTime() - 2 * LOOK_NANOS;

  TokenKeys(Path file, Log log) {
    this.file = file;
    this.log = log;
  }

  /** The keys now in force; throws while there are none. */
  List<Key> current() throws Refusal {
    long now = System.nanoTime();
    if (now - lookedNanos > LOOK_NANOS) {
      lookedNanos = now;
      look();
    }
    if (keys.isEmpty()) {
      throw new Refusal(
          Refusal.Cause.TOKEN_KEYS, "no token can be checked: " + file + ": " + problem);
    }
    return keys;
  }

  private void look() {
    String now;
    try {
      BasicFileAttributes attributes = Files.readAttributes(file, BasicFileAttributes.class);
      now = attributes.lastModifiedTime() + " " + attributes.size() + " " + attributes.fileKey();
    } catch (IOException e) {
      now = "absent";
    }
    if (now.equals(seen)) {
      return;
    }
    seen = now;
    try {
      String text = Pem.read(file);
      keys = text.stripLeading().startsWith("{") ? jwks(text) : pem(text);
      problem = "";
    } catch (CaException | JsonException | GeneralSecurityException e) {
      problem = String.valueOf(e.getMessage());
      log.error(
          "keys of service account tokens cannot be used; the former stay in force",
          "file",
          file,
          "reason",
          problem);
    }
  }

  private List<Key> pem(String text) {
    return Pem.publicKeys(file, text).stream().map(key -> new Key("", key)).toList();
  }

  /** RFC 7517; keys of kinds that sign no token are passed over. */
  private List<Key> jwks(String text) throws GeneralSecurityException {
    List<Key> read = new ArrayList<>();
    for (Json each : Json.parse(text).get("keys").items()) {
      String id = each.get("kid").text();
      switch (each.get("kty").text()) {
        case "EC" -> {
          if (each.get("crv").text().equals("P-256")) {
            read.add(new Key(id, ec(number(each, "x"), number(each, "y"))));
          }
        }
        case "RSA" ->
            read.add(
                new Key(
                    id,
                    KeyFactory.getInstance("RSA")
                        .generatePublic(
                            new RSAPublicKeySpec(number(each, "n"), number(each, "e")))));
        default -> {
          // Others sign by algorithms that Kubernetes does not use.
        }
      }
    }
    if (read.isEmpty()) {
      throw new CaException(file + ": the JWK set has no RSA or P-256 key");
    }
    return read;
  }

  private static PublicKey ec(BigInteger x, BigInteger y) throws GeneralSecurityException {
    AlgorithmParameters curve = AlgorithmParameters.getInstance("EC");
    curve.init(new ECGenParameterSpec("secp256r1"));
    return KeyFactory.getInstance("EC")
        .generatePublic(
            new ECPublicKeySpec(new ECPoint(x, y), curve.getParameterSpec(ECParameterSpec.class)));
  }

  private BigInteger number(Json key, String field) {
    try {
      byte[] bytes = Base64.getUrlDecoder().decode(key.get(field).text());
      if (bytes.length > 0) {
        return new BigInteger(1, bytes);
      }
    } catch (IllegalArgumentException e) {
      throw new CaException(file + ": a key's " + field + " is not base64url", e);
    }
    throw new CaException(file + ": a key has no " + field);
  }
}

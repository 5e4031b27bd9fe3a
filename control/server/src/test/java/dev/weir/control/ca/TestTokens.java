package dev.weir.control.ca;

import dev.weir.api.json.Json;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PrivateKey;
import java.security.Signature;
import java.security.spec.ECGenParameterSpec;
import java.time.Instant;
import java.util.Base64;
import java.util.List;

/** A cluster that issues service account tokens, good ones and others. */
public final class TestTokens {
  static final String ISSUER = "https://kubernetes.default.svc.cluster.local";

  private final KeyPair cluster = pair("EC", "secp256r1");

  /** What the control plane knows the cluster by. */
  public Path keysIn(Path folder) {
    try {
      return Files.writeString(
          folder.resolve("keys.pem"), Pem.text("PUBLIC KEY", cluster.getPublic().getEncoded()));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Of an account of weir-system, bound to a node. */
  public static Json.Builder claims(String account, String node) {
    long now = Instant.now().getEpochSecond();
    return Json.object()
        .with("iss", ISSUER)
        .with("aud", List.of("istio-ca"))
        .with("sub", "system:serviceaccount:weir-system:" + account)
        .with("nbf", (double) now)
        .with("exp", (double) (now + 600))
        .with(
            "kubernetes.io",
            Json.object()
                .with("namespace", "weir-system")
                .with("node", Json.object().with("name", node).build())
                .with("pod", Json.object().with("name", account + "-x").build())
                .build());
  }

  public String token(Json claims) {
    return token("{\"alg\":\"ES256\",\"kid\":\"k\"}", claims, cluster.getPrivate());
  }

  public String agentOf(String node) {
    return token(claims("weir-agent", node).build());
  }

  /** One that the control plane takes for that much longer: a minute of leeway is on top of it. */
  public String agentOf(String node, long moreMillis) {
    double end = (System.currentTimeMillis() + moreMillis) / 1000 - 60;
    return token(claims("weir-agent", node).with("nbf", end - 600).with("exp", end).build());
  }

  static String token(String header, Json claims, PrivateKey key) {
    try {
      Base64.Encoder base64 = Base64.getUrlEncoder().withoutPadding();
      String signed =
          base64.encodeToString(header.getBytes(StandardCharsets.UTF_8))
              + "."
              + base64.encodeToString(claims.toJson().getBytes(StandardCharsets.UTF_8));
      Signature signature =
          Signature.getInstance(
              key.getAlgorithm().equals("RSA") ? "SHA256withRSA" : "SHA256withECDSAinP1363Format");
      signature.initSign(key);
      signature.update(signed.getBytes(StandardCharsets.US_ASCII));
      return signed + "." + base64.encodeToString(signature.sign());
    } catch (Exception e) {
      throw new AssertionError(e);
    }
  }

  static KeyPair pair(String kind, Object parameter) {
    try {
      KeyPairGenerator generator = KeyPairGenerator.getInstance(kind);
      if (parameter instanceof String curve) {
        generator.initialize(new ECGenParameterSpec(curve));
      } else if (parameter instanceof Integer bits) {
        generator.initialize(bits);
      }
      return generator.generateKeyPair();
    } catch (Exception e) {
      throw new AssertionError(e);
    }
  }
}

package dev.weir.lab;

import dev.weir.api.json.Json;
import dev.weir.api.kube.Pod;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.Signature;
import java.security.interfaces.ECPublicKey;
import java.security.spec.ECGenParameterSpec;
import java.time.Instant;
import java.util.Base64;
import java.util.List;
import java.util.UUID;
import org.jspecify.annotations.Nullable;

/**
 * Service account tokens as the API server issues them (JWT, ES256, RFC 7519), by a key that lives
 * as long as the lab. Made when the first pod asks. Desk only.
 */
final class Tokens {
  static final String ISSUER = "https://kubernetes.default.svc.cluster.local";

  private static final String AGENT_NAMESPACE = "weir-system";
  private static final String AGENT_ACCOUNT = "weir-agent";
  private static final String AGENT_AUDIENCE = "istio-ca";

  private static final Base64.Encoder BASE64URL = Base64.getUrlEncoder().withoutPadding();

  private @Nullable KeyPair pair;

  /** A token of the pod's service account, bound to the pod. */
  String token(Pod pod, String audience, long lifeSeconds) {
    return signed(
        pod.namespace(),
        pod.spec().serviceAccountName(),
        audience,
        lifeSeconds,
        Json.object()
            .with("namespace", pod.namespace())
            .with("pod", named(pod.name(), pod.metadata().uid()))
            .with(
                "serviceaccount",
                Json.object().with("name", pod.spec().serviceAccountName()).build()));
  }

  /** The agent's, bound to its node as kubelets do it since Kubernetes 1.30. */
  String agentToken(String node, long lifeSeconds) {
    return signed(
        AGENT_NAMESPACE,
        AGENT_ACCOUNT,
        AGENT_AUDIENCE,
        lifeSeconds,
        Json.object()
            .with("namespace", AGENT_NAMESPACE)
            .with("node", named(node, uid(node)))
            .with("pod", named(AGENT_ACCOUNT + "-" + node, uid(AGENT_ACCOUNT + node)))
            .with("serviceaccount", named(AGENT_ACCOUNT, uid(AGENT_ACCOUNT))));
  }

  private static Json named(String name, String uid) {
    return Json.object().with("name", name).with("uid", uid).build();
  }

  private static String uid(String of) {
    return UUID.nameUUIDFromBytes(of.getBytes(StandardCharsets.UTF_8)).toString();
  }

  private String signed(
      String namespace, String account, String audience, long lifeSeconds, Json.Builder bound) {
    long now = Instant.now().getEpochSecond();
    Json claims =
        Json.object()
            .with("iss", ISSUER)
            .with("aud", List.of(audience.isEmpty() ? ISSUER : audience))
            .with("sub", "system:serviceaccount:" + namespace + ":" + account)
            .with("iat", (double) now)
            .with("nbf", (double) now)
            .with("exp", (double) (now + lifeSeconds))
            .with("kubernetes.io", bound.build())
            .build();
    Json header = Json.object().with("alg", "ES256").with("kid", "lab").with("typ", "JWT").build();
    String signed = encoded(header.toJson()) + "." + encoded(claims.toJson());
    try {
      // JWS wants r and s as plain numbers (RFC 7518 §3.4), not DER.
      Signature signature = Signature.getInstance("SHA256withECDSAinP1363Format");
      signature.initSign(pair().getPrivate());
      signature.update(signed.getBytes(StandardCharsets.US_ASCII));
      return signed + "." + BASE64URL.encodeToString(signature.sign());
    } catch (GeneralSecurityException e) {
      throw new LabException("a service account token cannot be signed: " + e.getMessage(), e);
    }
  }

  /** The public half as a JWK set (RFC 7517), by which anyone can check the lab's tokens. */
  Json keys() {
    ECPublicKey key = (ECPublicKey) pair().getPublic();
    return Json.object()
        .with(
            "keys",
            Json.of(
                List.of(
                    Json.object()
                        .with("kty", "EC")
                        .with("crv", "P-256")
                        .with("alg", "ES256")
                        .with("use", "sig")
                        .with("kid", "lab")
                        .with("x", coordinate(key.getW().getAffineX()))
                        .with("y", coordinate(key.getW().getAffineY()))
                        .build())))
        .build();
  }

  private KeyPair pair() {
    KeyPair known = pair;
    if (known != null) {
      return known;
    }
    try {
      KeyPairGenerator generator = KeyPairGenerator.getInstance("EC");
      generator.initialize(new ECGenParameterSpec("secp256r1"));
      KeyPair fresh = generator.generateKeyPair();
      pair = fresh;
      return fresh;
    } catch (GeneralSecurityException e) {
      throw new LabException("no key for service account tokens: " + e.getMessage(), e);
    }
  }

  private static String encoded(String text) {
    return BASE64URL.encodeToString(text.getBytes(StandardCharsets.UTF_8));
  }

  private static String coordinate(BigInteger number) {
    byte[] bytes = new byte[32];
    byte[] digits = number.toByteArray();
    int length = Math.min(32, digits.length);
    System.arraycopy(digits, digits.length - length, bytes, 32 - length, length);
    return BASE64URL.encodeToString(bytes);
  }
}

package dev.weir.control.ca;

import dev.weir.api.json.Json;
import dev.weir.api.json.JsonException;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.PublicKey;
import java.security.Signature;
import java.security.interfaces.ECPublicKey;
import java.security.interfaces.RSAPublicKey;
import java.time.Instant;
import java.time.InstantSource;
import java.util.Base64;
import java.util.List;

/**
 * Checks projected service account tokens: JWT (RFC 7519) with RS256 or ES256 by a known key, our
 * audience, Kubernetes as issuer, not expired. No other algorithm is taken, {@code none} least of
 * all. One thread.
 */
final class Tokens {
  private static final int MOST_CHARACTERS = 16 << 10;
  private static final long LEEWAY_SECONDS = 60;
  private static final double LAST_SECOND = Instant.parse("9999-12-31T00:00:00Z").getEpochSecond();
  private static final String SUBJECT = "system:serviceaccount:";

  private final TokenKeys keys;
  private final String issuer;
  private final String audience;
  private final InstantSource clock;

  Tokens(TokenKeys keys, String issuer, String audience, InstantSource clock) {
    this.keys = keys;
    this.issuer = issuer;
    this.audience = audience;
    this.clock = clock;
  }

  /** Who calls, by what stands in the {@code authorization} header. */
  Caller caller(String authorization) throws Refusal {
    if (!authorization.regionMatches(true, 0, "Bearer ", 0, 7)) {
      throw new Refusal(
          Refusal.Cause.TOKEN_MISSING, "no bearer token (expected: authorization: Bearer TOKEN)");
    }
    String token = authorization.substring(7).strip();
    if (token.length() > MOST_CHARACTERS) {
      throw malformed(token.length() + " characters (expected: at most " + MOST_CHARACTERS + ")");
    }
    String[] parts = token.split("\\.", -1);
    if (parts.length != 3) {
      throw malformed(parts.length + " parts (expected: three, as a JWT has)");
    }
    Json header = json("header", parts[0]);
    Json claims = json("claims", parts[1]);
    if (!header.get("crit").isNull()) {
      throw malformed("critical extensions that are not known");
    }
    checkSignature(
        header.get("alg").text(),
        header.get("kid").text(),
        (parts[0] + "." + parts[1]).getBytes(StandardCharsets.US_ASCII),
        decoded("signature", parts[2]));
    checkClaims(claims);
    return caller(claims);
  }

  private void checkSignature(String algorithm, String id, byte[] signed, byte[] signature)
      throws Refusal {
    if (!algorithm.equals("RS256") && !algorithm.equals("ES256")) {
      throw malformed("it is signed by another algorithm (expected: RS256 or ES256)");
    }
    boolean ec = algorithm.equals("ES256");
    List<TokenKeys.Key> known = keys.current();
    for (TokenKeys.Key each : known) {
      boolean named = id.isEmpty() || each.id().isEmpty() || each.id().equals(id);
      boolean fits = ec ? each.key() instanceof ECPublicKey : each.key() instanceof RSAPublicKey;
      if (named && fits && verifies(ec, each.key(), signed, signature)) {
        return;
      }
    }
    throw new Refusal(Refusal.Cause.TOKEN_SIGNATURE, "token: not signed by a key of this cluster");
  }

  private static boolean verifies(boolean ec, PublicKey key, byte[] signed, byte[] signature) {
    try {
      // JWS has r and s as plain numbers (RFC 7518 3.4), not DER.
      Signature check =
          Signature.getInstance(ec ? "SHA256withECDSAinP1363Format" : "SHA256withRSA");
      check.initVerify(key);
      check.update(signed);
      return check.verify(signature);
    } catch (GeneralSecurityException e) {
      // A signature of the wrong length is a wrong signature.
      return false;
    }
  }

  private void checkClaims(Json claims) throws Refusal {
    if (!claims.get("iss").text().equals(issuer)) {
      throw new Refusal(
          Refusal.Cause.TOKEN_ISSUER, "token: another issuer (expected: " + issuer + ")");
    }
    Json given = claims.get("aud");
    boolean ours =
        given instanceof Json.Text one
            ? one.value().equals(audience)
            : given.items().contains(Json.of(audience));
    if (!ours) {
      throw new Refusal(
          Refusal.Cause.TOKEN_AUDIENCE, "token: another audience (expected: " + audience + ")");
    }
    double now = clock.instant().getEpochSecond();
    // Without an end it is no projected token.
    if (!clock.instant().isBefore(until(claims))) {
      throw new Refusal(
          Refusal.Cause.TOKEN_EXPIRED, "token: expired; the kubelet should have renewed its file");
    }
    if (claims.get("nbf").number(0) - LEEWAY_SECONDS > now) {
      throw new Refusal(
          Refusal.Cause.TOKEN_NOT_YET_VALID,
          "token: not valid yet; compare the clocks of node and control plane");
    }
  }

  /** When the last node, whatever its clock says, takes it for expired. */
  private static Instant until(Json claims) {
    double end = Math.clamp(claims.get("exp").number(0), 0, LAST_SECOND);
    return Instant.ofEpochSecond((long) end + LEEWAY_SECONDS);
  }

  private static Caller caller(Json claims) throws Refusal {
    String subject = claims.get("sub").text();
    String[] names =
        subject.startsWith(SUBJECT)
            ? subject.substring(SUBJECT.length()).split(":", -1)
            : new String[0];
    if (names.length != 2 || names[0].isEmpty() || names[1].isEmpty()) {
      throw malformed("its subject is no service account");
    }
    Json bound = claims.get("kubernetes.io");
    return new Caller(
        names[0],
        names[1],
        bound.get("node").get("name").text(),
        bound.get("pod").get("name").text(),
        until(claims));
  }

  private static Json json(String what, String part) throws Refusal {
    try {
      Json read = Json.parse(new String(decoded(what, part), StandardCharsets.UTF_8));
      if (read instanceof Json.Fields) {
        return read;
      }
    } catch (JsonException e) {
      throw malformed("its " + what + " is no JSON: " + e.getMessage());
    }
    throw malformed("its " + what + " is no JSON object");
  }

  private static byte[] decoded(String what, String part) throws Refusal {
    try {
      return Base64.getUrlDecoder().decode(part);
    } catch (IllegalArgumentException e) {
      throw malformed("its " + what + " is not base64url");
    }
  }

  private static Refusal malformed(String what) {
    return new Refusal(Refusal.Cause.TOKEN_MALFORMED, "token: " + what);
  }
}

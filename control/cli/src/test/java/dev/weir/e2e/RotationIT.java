package dev.weir.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import dev.weir.api.json.Json;
import dev.weir.testing.NeedsKernel;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Certificates that change under load between nodes. */
@NeedsKernel
final class RotationIT {
  private static final String IDENTITY = "spiffe://cluster.local/ns/e2e/sa/default";
  private static final List<String> NODES = List.of("node-1", "node-2");
  private static final Duration LIFE = Duration.ofSeconds(60);
  private static final String RECIPE = "```\nserial=";
  private static Lab lab;

  @TempDir static Path folder;

  @BeforeAll
  static void up() {
    lab =
        Lab.up(
            "rotation",
            Lab.yaml("mesh.yaml") + "---\n" + Lab.yaml("upgrade.yaml"),
            "--cert-ttl",
            LIFE.toSeconds() + "s",
            "--agent-arg=--crl=" + folder.resolve("crl.pem"));
  }

  @AfterAll
  static void down() {
    lab.close();
  }

  @Test
  void aCertificateThatIsReplacedUnderLoadIsNoticedByNobody() {
    for (String node : NODES) {
      Waiting.until(
          "a certificate on " + node,
          () -> lab.certificate(node, IDENTITY).get("state").text().equals("Available"));
    }
    List<CompletableFuture<String>> loads =
        List.of(
            load("-c", "16", "http://web-far/"),
            // Each request is a stream of its own, in an old tunnel or a new one.
            load("-c", "4", "-H", "Connection: close", "http://web-far/"));
    try (var held = lab.hold("in-a", "in-c", 80, "v4")) {
      Map<String, Json> before = new LinkedHashMap<>();
      Map<String, Long> handshakes = new LinkedHashMap<>();
      for (String node : NODES) {
        Json certificate = lab.certificate(node, IDENTITY);
        assertThat(
                Duration.between(
                    Instant.now(), Instant.parse(certificate.get("expirationTime").text())))
            .as(node)
            .isPositive()
            .isLessThanOrEqualTo(LIFE);
        before.put(node, certificate);
        handshakes.put(node, lab.handshakes(node));
      }
      assertThat(lab.certs("-o", "wide").ok().out())
          .contains(IDENTITY)
          .contains(before.values().stream().map(each -> each.get("serial").text()).toList())
          .contains(before.values().stream().map(each -> each.get("validFrom").text()).toList());

      before.forEach((node, certificate) -> {
        Waiting.within(
            35,
            "another certificate on " + node,
            () ->
                !lab.certificate(node, IDENTITY)
                    .get("serial")
                    .text()
                    .equals(certificate.get("serial").text()));
        Waiting.until(
            "tunnels with the new certificate on " + node,
            () -> lab.handshakes(node) > handshakes.getOrDefault(node, 0L));
      });
      assertThat(loads).as("the load outlived the change").noneMatch(CompletableFuture::isDone);
      assertThat(held.say("still")).isEqualTo("still");
    }
    for (CompletableFuture<String> load : loads) {
      assertThat(load.join())
          .contains("requests in")
          .doesNotContain("Socket errors")
          .doesNotContain("Non-2xx");
    }
  }

  @Test
  void whoIsRevokedIsCutOffAndHasAnotherCertificateAtOnce() {
    assertThat(WeirCommand.run("status", "--name", lab.name()).out())
        .contains("node-1: CRL " + folder.resolve("crl.pem") + ": there is no such file");
    Json talk = Cases.of("talk", "in-c", 80);
    awaitCertificates();
    String serial = revokeUnderALiveConnection();
    Waiting.within(
        10,
        "another certificate, long before this one's half life",
        () -> isAvailable() && !serial().equals(serial));
    Waiting.until("it to be taken", () -> lab.one("in-a", talk).get("echoed").isTrue());
    assertThat(lab.certs().ok().out()).doesNotContain("Revoked");
    assertThat(lab.logs()).contains("certificate revoked: asking for another");

    // With nobody to ask it stays cut off, and everybody says why.
    String last;
    awaitCertificates();
    long refused = lab.refusals("node-1", "no-identity");
    lab.lab("control", "stop").ok();
    try {
      last = revokeUnderALiveConnection();
      Waiting.until(
          "its own node to say so",
          () -> lab.certificate("node-1", IDENTITY).get("state").text().equals("Revoked"));
      Waiting.until(
          "a new connection to be refused",
          () ->
              lab.one("in-a", Cases.of("connect", "in-c", 80))
                  .get("ends")
                  .text()
                  .equals("ECONNRESET"));
      assertThat(lab.refusals("node-1", "no-identity")).isGreaterThan(refused);
      WeirCommand.Outcome certs = lab.certs();
      assertThat(certs.status()).isEqualTo(1);
      assertThat(certs.out()).contains("Revoked").contains("the CRL names serial " + last);
      assertThat(WeirCommand.run("status", "--name", lab.name()).out())
          .contains("no-identity")
          .doesNotContain(": CRL ");
      Waiting.until(
          "the other node to have read the list as well",
          () -> lab.metrics("node-2").contains("weir_cert_revoked 2"));
      // Whoever reads the list first ends the tunnel.
      assertThat(lab.metrics("node-1") + lab.metrics("node-2"))
          .containsPattern("weir_tunnels_revoked_total [1-9]");
      assertThat(lab.logs()).containsPattern("tunnel ended: its (peer's|own) certificate");
    } finally {
      lab.lab("control", "start").ok();
    }
    Waiting.until(
        "another certificate to be taken", () -> lab.one("in-a", talk).get("echoed").isTrue());
    assertThat(serial()).isNotEqualTo(last);
    assertThat(lab.certs().ok().out()).doesNotContain("Revoked");
  }

  /** Both have one, and the caller's is not about to be renewed anyhow. */
  private static void awaitCertificates() {
    Waiting.within(
        60, "a certificate of the caller that is not about to be renewed", () -> stands("node-1"));
    Waiting.until(
        "a certificate of the called",
        () -> lab.certificate("node-2", IDENTITY).get("state").text().equals("Available"));
  }

  /** Of the caller, whose serial it returns. */
  private static String revokeUnderALiveConnection() {
    String serial = serial();
    try (var held = lab.hold("in-a", "in-c", 80, "v4")) {
      assertThat(held.say("before")).isEqualTo("before");
      revoke(serial);
      Waiting.until(
          "the live connection of a revoked caller to end", () -> !held.say("on").equals("on"));
    }
    return serial;
  }

  private static String serial() {
    return lab.certificate("node-1", IDENTITY).get("serial").text();
  }

  private static boolean isAvailable() {
    return lab.certificate("node-1", IDENTITY).get("state").text().equals("Available");
  }

  private static boolean stands(String node) {
    Json certificate = lab.certificate(node, IDENTITY);
    String renewed = certificate.get("nextRotation").text();
    return certificate.get("state").text().equals("Available")
        && !renewed.equals("now")
        && Instant.parse(renewed).isAfter(Instant.now().plusSeconds(18));
  }

  /** As docs/ARCHITECTURE.md tells people to. */
  private static void revoke(String serial) {
    try {
      for (String file : List.of("ca.key", "ca.crt")) {
        Files.copy(
            Path.of("/run/weir-lab", lab.name(), "control", "ca", file),
            folder.resolve(file),
            StandardCopyOption.REPLACE_EXISTING);
      }
      String docs = Files.readString(WeirCommand.home().resolve("docs/ARCHITECTURE.md"));
      int from = docs.indexOf(RECIPE);
      assertThat(from).as("the recipe in the docs").isPositive();
      String recipe = docs.substring(from + RECIPE.length(), docs.indexOf("```", from + 3));
      String told = recipe.replaceFirst("^\\w+", serial);
      WeirCommand.process(
              List.of("bash", "-c", "set -e; cd '%s'; serial=%s".formatted(folder, told)))
          .ok();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static CompletableFuture<String> load(String... how) {
    List<String> command = new ArrayList<>(List.of("wrk", "-t1", "-d", "42s", "--timeout", "10s"));
    command.addAll(List.of(how));
    return CompletableFuture.supplyAsync(
        () -> lab.exec("load", "", command.toArray(String[]::new)).ok().out(),
        task -> Thread.ofVirtual().start(task));
  }
}

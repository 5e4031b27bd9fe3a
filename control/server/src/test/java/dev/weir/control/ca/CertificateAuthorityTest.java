package dev.weir.control.ca;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import com.google.protobuf.Struct;
import com.google.protobuf.Value;
import dev.weir.api.json.Json;
import dev.weir.api.model.Locality;
import dev.weir.api.model.MeshModel;
import dev.weir.api.model.PodSettings;
import dev.weir.api.model.Tunnel;
import dev.weir.api.model.Workload;
import dev.weir.api.model.WorkloadKind;
import dev.weir.api.proto.ca.IstioCertificateRequest;
import dev.weir.api.proto.ca.IstioCertificateServiceGrpc;
import dev.weir.control.log.Log;
import dev.weir.control.port.Connections;
import dev.weir.control.port.Crowd;
import dev.weir.control.port.MessageLimits;
import dev.weir.control.port.Port;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.GrpcSslContexts;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.MetadataUtils;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.nio.NioIoHandler;
import io.netty.channel.socket.nio.NioSocketChannel;
import io.netty.handler.ssl.SslContextBuilder;
import io.netty.handler.ssl.SslProvider;
import java.io.IOException;
import java.math.BigInteger;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.KeyPair;
import java.security.PrivateKey;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Date;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.bouncycastle.asn1.x500.RDN;
import org.bouncycastle.asn1.x500.X500Name;
import org.bouncycastle.asn1.x509.BasicConstraints;
import org.bouncycastle.asn1.x509.Extension;
import org.bouncycastle.asn1.x509.SubjectPublicKeyInfo;
import org.bouncycastle.cert.jcajce.JcaX509CertificateConverter;
import org.bouncycastle.cert.jcajce.JcaX509v3CertificateBuilder;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;
import org.bouncycastle.pkcs.PKCS10CertificationRequest;
import org.bouncycastle.pkcs.PKCS10CertificationRequestBuilder;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The certificate service on a real TLS port. */
final class CertificateAuthorityTest {
  private static final String FRONT = "spiffe://cluster.local/ns/shop/sa/front";
  private static final String CART = "spiffe://cluster.local/ns/shop/sa/cart";
  private static final Duration SOON = Duration.ofSeconds(15);
  private static final EventLoopGroup LOOPS =
      new MultiThreadIoEventLoopGroup(1, NioIoHandler.newFactory());
  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  @TempDir Path folder = Path.of("");

  private final KeyPair cluster = pair("EC", "secp256r1");
  private final List<AutoCloseable> open = new ArrayList<>();
  private final Map<CertificateAuthority, Port> ports = new HashMap<>();

  @AfterEach
  void close() throws Exception {
    for (AutoCloseable each : open.reversed()) {
      each.close();
    }
  }

  @AfterAll
  static void end() {
    LOOPS.shutdownGracefully(0, 1, TimeUnit.SECONDS);
  }

  // ---- making what a caller has

  private static KeyPair pair(String kind, Object parameter) {
    return TestTokens.pair(kind, parameter);
  }

  private static String csr(KeyPair asks, PrivateKey signs, String algorithm) {
    try {
      PKCS10CertificationRequest request =
          new PKCS10CertificationRequestBuilder(
                  new X500Name(new RDN[0]),
                  SubjectPublicKeyInfo.getInstance(asks.getPublic().getEncoded()))
              .build(new JcaContentSignerBuilder(algorithm).build(signs));
      return Pem.text("CERTIFICATE REQUEST", request.getEncoded());
    } catch (Exception e) {
      throw new AssertionError(e);
    }
  }

  private static String goodCsr() {
    KeyPair fresh = pair("EC", "secp256r1");
    return csr(fresh, fresh.getPrivate(), "SHA256withECDSA");
  }

  private static Json.Builder claims(String account, String node) {
    return TestTokens.claims(account, node);
  }

  private String token(Json claims) {
    return token("{\"alg\":\"ES256\",\"kid\":\"k\"}", claims, cluster.getPrivate());
  }

  private static String token(String header, Json claims, PrivateKey key) {
    return TestTokens.token(header, claims, key);
  }

  private String agentOf(String node) {
    return token(claims("weir-agent", node).build());
  }

  // ---- the CA and who asks it

  private CertificateAuthority start(AuthorityFiles files) throws IOException {
    Files.writeString(
        folder.resolve("keys.pem"), Pem.text("PUBLIC KEY", cluster.getPublic().getEncoded()));
    Log log = new Log(System.err, InstantSource.system(), "ca");
    Connections connections = new Connections(Crowd.STANDARD, InstantSource.system(), log);
    CertificateAuthority authority =
        CertificateAuthority.open(
            new CaOptions(
                files,
                Duration.ofHours(24),
                List.of("127.0.0.1", "::1", "localhost"),
                folder.resolve("keys.pem"),
                TestTokens.ISSUER,
                "istio-ca",
                Set.of("weir-system/weir-agent"),
                "cluster.local"),
            connections,
            InstantSource.system(),
            log);
    open.add(authority);
    Port port =
        Port.open(
            new InetSocketAddress(InetAddress.getLoopbackAddress(), 0),
            Port.tls(authority.serverIdentity()),
            List.of(authority.service()),
            new MessageLimits(
                32 << 10,
                Map.of(
                    IstioCertificateServiceGrpc.SERVICE_NAME,
                    CertificateAuthority.MOST_REQUEST_BYTES)),
            connections,
            LOOPS);
    open.add(port);
    ports.put(authority, port);
    authority.follow(model());
    return authority;
  }

  private int portOf(CertificateAuthority authority) {
    return Objects.requireNonNull(ports.get(authority)).number();
  }

  private CertificateAuthority start() throws IOException {
    return start(AuthorityFiles.ownIn(folder.resolve("ca")));
  }

  private static MeshModel model() {
    return new MeshModel(
        1, Map.of("a", pod("front", "node-1"), "b", pod("cart", "node-2")), Map.of());
  }

  private static Workload pod(String account, String node) {
    return new Workload(
        Workload.podUid("Kubernetes", "shop", account),
        "shop",
        account,
        List.of(),
        "",
        node,
        "",
        account,
        "cluster.local",
        "Kubernetes",
        new Locality("", "", ""),
        WorkloadKind.POD,
        account,
        account,
        "",
        Tunnel.NONE,
        true,
        false,
        1,
        Map.of(),
        PodSettings.DEFAULT);
  }

  private List<String> ask(
      CertificateAuthority authority,
      @Nullable String token,
      String csr,
      String identity,
      long life)
      throws Exception {
    ManagedChannel channel =
        NettyChannelBuilder.forAddress(
                new InetSocketAddress(InetAddress.getLoopbackAddress(), portOf(authority)))
            .overrideAuthority("localhost")
            .eventLoopGroup(LOOPS)
            .channelType(NioSocketChannel.class)
            .sslContext(
                GrpcSslContexts.configure(SslContextBuilder.forClient(), SslProvider.JDK)
                    .trustManager(
                        folder.resolve("roots").toFile().exists()
                            ? folder.resolve("roots").toFile()
                            : folder.resolve("ca/roots.pem").toFile())
                    .build())
            .build();
    try {
      Metadata headers = new Metadata();
      if (token != null) {
        headers.put(AUTHORIZATION, "Bearer " + token);
      }
      IstioCertificateRequest.Builder request =
          IstioCertificateRequest.newBuilder().setCsr(csr).setValidityDuration(life);
      if (!identity.isEmpty()) {
        request.setMetadata(
            Struct.newBuilder()
                .putFields(
                    "ImpersonatedIdentity", Value.newBuilder().setStringValue(identity).build()));
      }
      return IstioCertificateServiceGrpc.newBlockingStub(channel)
          .withDeadlineAfter(15, TimeUnit.SECONDS)
          .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(headers))
          .createCertificate(request.build())
          .getCertChainList();
    } finally {
      channel.shutdownNow();
    }
  }

  private static List<X509Certificate> read(String pem) {
    return Pem.certificates(Path.of("answer"), pem);
  }

  private void refused(
      CertificateAuthority authority,
      @Nullable String token,
      String csr,
      String identity,
      Status.Code code,
      String cause) {
    assertThatThrownBy(() -> ask(authority, token, csr, identity, 3600))
        .isInstanceOfSatisfying(
            StatusRuntimeException.class,
            e -> assertThat(e.getStatus().getCode()).as(e.getMessage()).isEqualTo(code));
    Json last = authority.status().get("lastRefusal");
    assertThat(last.get("cause").text()).as(last.toJson()).isEqualTo(cause);
    assertThat(authority.status().get("refused").get(cause).integer()).isPositive();
  }

  // ---- what holds

  @Test
  void an_agent_gets_the_identity_of_a_pod_on_its_node() throws Exception {
    CertificateAuthority authority = start();
    Instant before = Instant.now();
    KeyPair fresh = pair("EC", "secp256r1");
    List<String> chain =
        ask(
            authority,
            agentOf("node-1"),
            csr(fresh, fresh.getPrivate(), "SHA256withECDSA"),
            FRONT,
            3600);
    X509Certificate leaf = read(chain.getFirst()).getFirst();
    assertThat(leaf.getPublicKey()).isEqualTo(fresh.getPublic());
    assertThat(leaf.getSubjectX500Principal().getName()).isEmpty();
    assertThat(leaf.getSubjectAlternativeNames()).containsExactly(List.of(6, FRONT));
    assertThat(leaf.getCriticalExtensionOIDs()).contains("2.5.29.17", "2.5.29.15", "2.5.29.19");
    assertThat(leaf.getExtendedKeyUsage())
        .containsExactlyInAnyOrder("1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2");
    assertThat(leaf.getKeyUsage()[0]).isTrue();
    assertThat(leaf.getBasicConstraints()).isEqualTo(-1);
    assertThat(leaf.getSerialNumber().bitLength()).isBetween(90, 128);
    assertThat(Duration.between(leaf.getNotBefore().toInstant(), before))
        .isBetween(Duration.ofSeconds(50), Duration.ofSeconds(62));
    assertThat(Duration.between(before, leaf.getNotAfter().toInstant()))
        .isBetween(Duration.ofSeconds(3590), Duration.ofSeconds(3615));
    X509Certificate root = read(chain.getLast()).getFirst();
    leaf.verify(root.getPublicKey());
    assertThat(authority.status().get("issued").integer()).isEqualTo(1);
  }

  @Test
  void a_life_is_never_longer_than_allowed() throws Exception {
    CertificateAuthority authority = start();
    for (long asked : new long[] {0, -1, 1_000_000_000L}) {
      X509Certificate leaf =
          read(ask(authority, agentOf("node-1"), goodCsr(), FRONT, asked).getFirst()).getFirst();
      assertThat(Duration.between(Instant.now(), leaf.getNotAfter().toInstant()))
          .isBetween(Duration.ofHours(23), Duration.ofHours(24));
    }
  }

  @Test
  void a_caller_that_asks_for_nobody_gets_its_own_identity() throws Exception {
    CertificateAuthority authority = start();
    String token = token(claims("other", "node-9").build());
    X509Certificate leaf = read(ask(authority, token, goodCsr(), "", 60).getFirst()).getFirst();
    assertThat(leaf.getSubjectAlternativeNames())
        .containsExactly(List.of(6, "spiffe://cluster.local/ns/weir-system/sa/other"));
  }

  @Test
  void node_authorisation_refuses_all_others() throws Exception {
    CertificateAuthority authority = start();
    refused(
        authority,
        agentOf("node-1"),
        goodCsr(),
        CART,
        Status.Code.PERMISSION_DENIED,
        "not-on-node");
    refused(
        authority,
        token(claims("someone", "node-1").build()),
        goodCsr(),
        FRONT,
        Status.Code.PERMISSION_DENIED,
        "not-a-node-account");
    refused(
        authority,
        agentOf("node-1"),
        goodCsr(),
        "spiffe://other.org/ns/shop/sa/front",
        Status.Code.PERMISSION_DENIED,
        "trust-domain");
    refused(
        authority,
        agentOf("node-1"),
        goodCsr(),
        FRONT + "/x",
        Status.Code.INVALID_ARGUMENT,
        "identity-malformed");
    refused(
        authority,
        token(claims("weir-agent", "").build()),
        goodCsr(),
        FRONT,
        Status.Code.PERMISSION_DENIED,
        "node-unknown");
    // The pod goes, and with it the right to be it.
    authority.follow(new MeshModel(2, Map.of(), Map.of()));
    refused(
        authority,
        agentOf("node-1"),
        goodCsr(),
        FRONT,
        Status.Code.PERMISSION_DENIED,
        "not-on-node");
  }

  @Test
  void tokens_that_are_not_ours_are_refused_by_cause() throws Exception {
    CertificateAuthority authority = start();
    Status.Code unknown = Status.Code.UNAUTHENTICATED;
    long now = Instant.now().getEpochSecond();
    String good = agentOf("node-1");
    refused(authority, null, goodCsr(), FRONT, unknown, "token-missing");
    refused(authority, "garbage", goodCsr(), FRONT, unknown, "token-malformed");
    refused(authority, "a.b.c", goodCsr(), FRONT, unknown, "token-malformed");
    refused(authority, "!.!.!", goodCsr(), FRONT, unknown, "token-malformed");
    // Header lists of more than 32 KiB do not even arrive.
    refused(authority, "x".repeat(17 << 10), goodCsr(), FRONT, unknown, "token-malformed");
    refused(
        authority,
        good.substring(0, good.length() - 6) + "AAAAAA",
        goodCsr(),
        FRONT,
        unknown,
        "token-signature");
    refused(
        authority,
        token(
            "{\"alg\":\"ES256\"}",
            claims("weir-agent", "node-1").build(),
            pair("EC", "secp256r1").getPrivate()),
        goodCsr(),
        FRONT,
        unknown,
        "token-signature");
    refused(
        authority,
        token("{\"alg\":\"none\"}", claims("weir-agent", "node-1").build(), cluster.getPrivate()),
        goodCsr(),
        FRONT,
        unknown,
        "token-malformed");
    refused(
        authority,
        token(claims("weir-agent", "node-1").with("exp", (double) (now - 61)).build()),
        goodCsr(),
        FRONT,
        unknown,
        "token-expired");
    refused(
        authority,
        token(claims("weir-agent", "node-1").with("nbf", (double) (now + 90)).build()),
        goodCsr(),
        FRONT,
        unknown,
        "token-not-yet-valid");
    refused(
        authority,
        token(claims("weir-agent", "node-1").with("aud", List.of("vault")).build()),
        goodCsr(),
        FRONT,
        unknown,
        "token-audience");
    refused(
        authority,
        token(claims("weir-agent", "node-1").with("iss", "https://evil").build()),
        goodCsr(),
        FRONT,
        unknown,
        "token-issuer");
    // A minute between clocks is allowed for.
    assertThat(
            ask(
                authority,
                token(
                    claims("weir-agent", "node-1")
                        .with("exp", (double) (now - 30))
                        .with("nbf", (double) (now - 600))
                        .build()),
                goodCsr(),
                FRONT,
                60))
        .isNotEmpty();
  }

  @Test
  void tokens_by_rsa_keys_of_a_jwk_set_are_taken() throws Exception {
    CertificateAuthority authority = start();
    KeyPair rsa = pair("RSA", 2048);
    java.security.interfaces.RSAPublicKey key =
        (java.security.interfaces.RSAPublicKey) rsa.getPublic();
    Base64.Encoder base64 = Base64.getUrlEncoder().withoutPadding();
    replace(
        folder.resolve("keys.pem"),
        "{\"keys\":[{\"kty\":\"OKP\"},{\"kty\":\"RSA\",\"kid\":\"r\",\"n\":\"%s\",\"e\":\"%s\"}]}"
            .formatted(
                base64.encodeToString(key.getModulus().toByteArray()),
                base64.encodeToString(key.getPublicExponent().toByteArray())));
    String token =
        token(
            "{\"alg\":\"RS256\",\"kid\":\"r\"}",
            claims("weir-agent", "node-1").build(),
            rsa.getPrivate());
    await()
        .atMost(SOON)
        .ignoreExceptions()
        .until(() -> !ask(authority, token, goodCsr(), FRONT, 60).isEmpty());
  }

  @Test
  void requests_that_prove_nothing_are_refused() throws Exception {
    CertificateAuthority authority = start();
    Status.Code wrong = Status.Code.INVALID_ARGUMENT;
    String agent = agentOf("node-1");
    KeyPair own = pair("EC", "secp256r1");
    KeyPair other = pair("EC", "secp256r1");
    refused(
        authority,
        agent,
        csr(own, other.getPrivate(), "SHA256withECDSA"),
        FRONT,
        wrong,
        "csr-proof");
    refused(authority, agent, "", FRONT, wrong, "csr-malformed");
    refused(
        authority,
        agent,
        "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        FRONT,
        wrong,
        "csr-malformed");
    refused(authority, agent, "x".repeat(17 << 10), FRONT, wrong, "csr-malformed");
    KeyPair weak = pair("RSA", 1024);
    refused(
        authority, agent, csr(weak, weak.getPrivate(), "SHA256withRSA"), FRONT, wrong, "csr-key");
    KeyPair curve = pair("EC", "secp521r1");
    refused(
        authority,
        agent,
        csr(curve, curve.getPrivate(), "SHA512withECDSA"),
        FRONT,
        wrong,
        "csr-key");
    KeyPair edwards = pair("Ed25519", 255);
    refused(
        authority, agent, csr(edwards, edwards.getPrivate(), "Ed25519"), FRONT, wrong, "csr-key");
    KeyPair p384 = pair("EC", "secp384r1");
    assertThat(ask(authority, agent, csr(p384, p384.getPrivate(), "SHA384withECDSA"), FRONT, 60))
        .isNotEmpty();
    KeyPair rsa = pair("RSA", 2048);
    assertThat(ask(authority, agent, csr(rsa, rsa.getPrivate(), "SHA256withRSA"), FRONT, 60))
        .isNotEmpty();
  }

  @Test
  void a_root_made_at_first_start_is_kept_for_its_owner_and_used_again() throws Exception {
    String first;
    CertificateAuthority authority = start();
    first = authority.status().get("signing").get("serial").text();
    Path key = folder.resolve("ca/ca.key");
    assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(key)))
        .isEqualTo("rw-------");
    CertificateAuthority again = start();
    assertThat(again.status().get("signing").get("serial").text()).isEqualTo(first);
    // A start that was cut short before its last file begins anew.
    Files.delete(folder.resolve("ca/ca.crt"));
    assertThat(start().status().get("signing").get("serial").text()).isNotEqualTo(first);
  }

  @Test
  void files_that_do_not_fit_are_told_in_one_line() throws Exception {
    start();
    Path ca = folder.resolve("ca");
    Path other = folder.resolve("other");
    AuthorityFolder.open(
        AuthorityFiles.ownIn(other),
        InstantSource.system(),
        new Log(System.err, InstantSource.system(), "ca"));
    assertThatThrownBy(() ->
            start(
                AuthorityFiles.given(
                    ca.resolve("ca.crt"), other.resolve("ca.key"), ca.resolve("roots.pem"))))
        .isInstanceOf(CaException.class)
        .hasMessageContaining("is not the key of")
        .hasMessageContaining("other/ca.key");
    assertThatThrownBy(() ->
            start(
                AuthorityFiles.given(
                    ca.resolve("ca.crt"), ca.resolve("ca.key"), other.resolve("roots.pem"))))
        .isInstanceOf(CaException.class)
        .hasMessageContaining("does not lead to a root");
    assertThatThrownBy(() -> start(AuthorityFiles.secretIn(folder.resolve("none"))))
        .isInstanceOf(CaException.class)
        .hasMessageContaining("tls.crt")
        .hasMessageContaining("no such file");
  }

  @Test
  void an_intermediate_from_a_mounted_secret_signs_with_its_chain() throws Exception {
    Instant now = Instant.now();
    Authority root = Authority.create(now);
    KeyPair pair = pair("EC", "secp256r1");
    X509Certificate intermediate =
        new JcaX509CertificateConverter()
            .getCertificate(
                new JcaX509v3CertificateBuilder(
                        root.signing(),
                        BigInteger.TEN,
                        Date.from(now.minusSeconds(60)),
                        Date.from(now.plus(Duration.ofHours(2))),
                        new X500Name("CN=intermediate"),
                        pair.getPublic())
                    .addExtension(Extension.basicConstraints, true, new BasicConstraints(0))
                    .build(new JcaContentSignerBuilder("SHA256withECDSA").build(root.key())));
    Path secret = Files.createDirectory(folder.resolve("secret"));
    Files.writeString(secret.resolve("tls.crt"), Pem.text(intermediate));
    Files.writeString(
        secret.resolve("tls.key"), Pem.text("PRIVATE KEY", pair.getPrivate().getEncoded()));
    Files.writeString(secret.resolve("ca.crt"), Pem.text(root.roots()));
    Files.writeString(folder.resolve("roots"), Pem.text(root.roots()));
    CertificateAuthority authority = start(AuthorityFiles.secretIn(secret));
    List<String> chain = ask(authority, agentOf("node-1"), goodCsr(), FRONT, 1_000_000);
    assertThat(chain).hasSize(3);
    X509Certificate leaf = read(chain.getFirst()).getFirst();
    leaf.verify(read(chain.get(1)).getFirst().getPublicKey());
    assertThat(read(chain.getLast())).containsExactly(root.signing());
    // Never beyond its issuer's own end.
    assertThat(leaf.getNotAfter()).isEqualTo(intermediate.getNotAfter());
  }

  @Test
  void roots_change_without_a_restart_and_bad_files_change_nothing() throws Exception {
    CertificateAuthority authority = start();
    Path ca = folder.resolve("ca");
    String oldRoots = Files.readString(ca.resolve("roots.pem"));
    Files.writeString(folder.resolve("roots"), oldRoots);
    Authority next = Authority.create(Instant.now());
    String newRoot = Pem.text(next.signing());
    replace(ca.resolve("roots.pem"), oldRoots + newRoot);
    Files.writeString(folder.resolve("roots"), oldRoots + newRoot);
    await()
        .atMost(SOON)
        .until(() ->
            read(ask(authority, agentOf("node-1"), goodCsr(), FRONT, 60).getLast()).size() == 2);
    // Between two renames key and certificate do not fit.
    replace(ca.resolve("ca.key"), Pem.text("PRIVATE KEY", next.key().getEncoded()));
    await().atMost(SOON).until(() -> !authority.status().get("problem").text().isEmpty());
    assertThat(ask(authority, agentOf("node-1"), goodCsr(), FRONT, 60)).isNotEmpty();
    replace(ca.resolve("ca.crt"), newRoot);
    await()
        .atMost(SOON)
        .untilAsserted(() -> {
          X509Certificate leaf =
              read(ask(authority, agentOf("node-1"), goodCsr(), FRONT, 60).getFirst()).getFirst();
          assertThat(leaf.getIssuerX500Principal())
              .isEqualTo(next.signing().getSubjectX500Principal());
        });
    assertThat(authority.status().get("problem").text()).isEmpty();
  }

  private static void replace(Path file, String text) throws IOException {
    Path fresh = file.resolveSibling(file.getFileName() + ".tmp");
    Files.writeString(fresh, text);
    Files.move(fresh, file, StandardCopyOption.ATOMIC_MOVE);
  }
}

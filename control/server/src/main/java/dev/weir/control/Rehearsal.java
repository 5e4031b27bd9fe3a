package dev.weir.control;

import dev.weir.api.json.Json;
import dev.weir.api.model.Addresses;
import dev.weir.api.model.Authorizations;
import dev.weir.api.proto.ca.IstioCertificateRequest;
import dev.weir.api.proto.ca.IstioCertificateServiceGrpc;
import dev.weir.api.proto.discovery.AggregatedDiscoveryServiceGrpc;
import dev.weir.api.proto.discovery.DeltaDiscoveryRequest;
import dev.weir.api.proto.discovery.DeltaDiscoveryResponse;
import dev.weir.control.log.Log;
import io.grpc.Channel;
import io.grpc.ClientInterceptors;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.netty.GrpcSslContexts;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import io.grpc.stub.MetadataUtils;
import io.grpc.stub.StreamObserver;
import io.netty.handler.ssl.SslContextBuilder;
import io.netty.handler.ssl.SslProvider;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.Signature;
import java.security.spec.ECGenParameterSpec;
import java.time.InstantSource;
import java.util.Base64;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.bouncycastle.asn1.x500.RDN;
import org.bouncycastle.asn1.x500.X500Name;
import org.bouncycastle.asn1.x509.SubjectPublicKeyInfo;
import org.bouncycastle.operator.OperatorCreationException;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;
import org.bouncycastle.pkcs.PKCS10CertificationRequestBuilder;
import org.jspecify.annotations.Nullable;

/**
 * The run that an AOT cache is made from: a whole start, a node that follows the mesh, and a
 * certificate for it. Agents wait for the first certificates after a start, so their way must not
 * be cold. All over loopback, all files in one folder.
 */
final class Rehearsal {
  private static final long WITHIN_SECONDS = 30;
  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  private final Path folder;
  private final KeyPair pair;

  private Rehearsal(Path folder) throws GeneralSecurityException {
    this.folder = folder;
    KeyPairGenerator generator = KeyPairGenerator.getInstance("EC");
    generator.initialize(new ECGenParameterSpec("secp256r1"));
    this.pair = generator.generateKeyPair();
  }

  /**
   * Runs it.
   *
   * @param folder has the mesh to publish in {@code state}; the rest is written there
   * @return false where something did not come in time
   */
  static boolean run(Path folder, InstantSource clock, Log log)
      throws IOException,
          GeneralSecurityException,
          OperatorCreationException,
          InterruptedException {
    Rehearsal rehearsal = new Rehearsal(folder);
    Path keys = folder.resolve("keys.pem");
    Files.writeString(
        keys, pem("PUBLIC KEY", rehearsal.pair.getPublic().getEncoded()), StandardCharsets.UTF_8);
    ControlOptions options =
        ControlOptions.parse(
            "--source-dir",
            folder.resolve("state").toString(),
            "--listen",
            "127.0.0.1:0",
            "--admin-socket",
            folder.resolve("admin.sock").toString(),
            "--ca-dir",
            folder.resolve("ca").toString(),
            "--token-keys",
            keys.toString());
    try (ControlPlane plane = ControlPlane.start(options, clock, log)) {
      return rehearsal.isServed(plane.port(), clock);
    }
  }

  /** As an agent is: both over one connection. */
  private boolean isServed(int port, InstantSource clock)
      throws IOException,
          GeneralSecurityException,
          OperatorCreationException,
          InterruptedException {
    ManagedChannel channel =
        NettyChannelBuilder.forAddress("127.0.0.1", port)
            .sslContext(
                GrpcSslContexts.configure(SslContextBuilder.forClient(), SslProvider.JDK)
                    .trustManager(folder.resolve("ca/roots.pem").toFile())
                    .build())
            .build();
    try {
      Metadata headers = new Metadata();
      headers.put(AUTHORIZATION, "Bearer " + token(clock));
      Channel proven =
          ClientInterceptors.intercept(channel, MetadataUtils.newAttachHeadersInterceptor(headers));
      return follows(proven) && isCertified(proven);
    } finally {
      channel.shutdownNow();
    }
  }

  private static boolean follows(Channel channel) throws InterruptedException {
    Follower follower = new Follower();
    StreamObserver<DeltaDiscoveryRequest> requests =
        AggregatedDiscoveryServiceGrpc.newStub(channel).deltaAggregatedResources(follower);
    for (String type : List.of(Authorizations.TYPE_URL, Addresses.TYPE_URL)) {
      requests.onNext(DeltaDiscoveryRequest.newBuilder().setTypeUrl(type).build());
    }
    return follower.both.await(WITHIN_SECONDS, TimeUnit.SECONDS);
  }

  /** Takes what it is told, as a node does; what does not come is missed by who waits. */
  private static final class Follower
      implements ClientResponseObserver<DeltaDiscoveryRequest, DeltaDiscoveryResponse> {
    final CountDownLatch both = new CountDownLatch(2);
    private @Nullable ClientCallStreamObserver<DeltaDiscoveryRequest> requests;

    @Override
    public void beforeStart(ClientCallStreamObserver<DeltaDiscoveryRequest> stream) {
      requests = stream;
    }

    @Override
    public void onNext(DeltaDiscoveryResponse response) {
      Objects.requireNonNull(requests)
          .onNext(
              DeltaDiscoveryRequest.newBuilder()
                  .setTypeUrl(response.getTypeUrl())
                  .setResponseNonce(response.getNonce())
                  .build());
      both.countDown();
    }

    @Override
    public void onError(Throwable cause) {
      // The stream is cut when all has come.
    }

    @Override
    public void onCompleted() {
      // As above.
    }
  }

  private boolean isCertified(Channel channel) throws IOException, OperatorCreationException {
    return IstioCertificateServiceGrpc.newBlockingStub(channel)
            .withDeadlineAfter(WITHIN_SECONDS, TimeUnit.SECONDS)
            .createCertificate(
                IstioCertificateRequest.newBuilder().setCsr(csr()).setValidityDuration(60).build())
            .getCertChainCount()
        > 1;
  }

  private String csr() throws IOException, OperatorCreationException {
    return pem(
        "CERTIFICATE REQUEST",
        new PKCS10CertificationRequestBuilder(
                new X500Name(new RDN[0]),
                SubjectPublicKeyInfo.getInstance(pair.getPublic().getEncoded()))
            .build(new JcaContentSignerBuilder("SHA256withECDSA").build(pair.getPrivate()))
            .getEncoded());
  }

  private String token(InstantSource clock) throws GeneralSecurityException {
    Base64.Encoder base64 = Base64.getUrlEncoder().withoutPadding();
    Json claims =
        Json.object()
            .with("iss", "https://kubernetes.default.svc.cluster.local")
            .with("aud", List.of("istio-ca"))
            .with("sub", "system:serviceaccount:weir-system:weir-agent")
            .with("exp", (double) clock.instant().plusSeconds(60).getEpochSecond())
            .with(
                "kubernetes.io",
                Json.object()
                    .with("namespace", "weir-system")
                    .with("node", Json.object().with("name", "rehearsal").build())
                    .build())
            .build();
    String signed =
        base64.encodeToString("{\"alg\":\"ES256\"}".getBytes(StandardCharsets.UTF_8))
            + "."
            + base64.encodeToString(claims.toJson().getBytes(StandardCharsets.UTF_8));
    Signature signature = Signature.getInstance("SHA256withECDSAinP1363Format");
    signature.initSign(pair.getPrivate());
    signature.update(signed.getBytes(StandardCharsets.US_ASCII));
    return signed + "." + base64.encodeToString(signature.sign());
  }

  private static String pem(String kind, byte[] der) {
    return "-----BEGIN %1$s-----\n%2$s\n-----END %1$s-----\n"
        .formatted(kind, Base64.getMimeEncoder().encodeToString(der));
  }
}

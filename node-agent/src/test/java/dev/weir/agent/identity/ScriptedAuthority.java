package dev.weir.agent.identity;

import dev.weir.api.proto.ca.IstioCertificateRequest;
import dev.weir.api.proto.ca.IstioCertificateResponse;
import dev.weir.api.proto.ca.IstioCertificateServiceGrpc;
import io.grpc.Server;
import io.grpc.Status;
import io.grpc.netty.GrpcSslContexts;
import io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.StreamObserver;
import io.netty.handler.ssl.SslContextBuilder;
import io.netty.handler.ssl.SslProvider;
import java.io.IOException;
import java.io.StringReader;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.security.PublicKey;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.bouncycastle.asn1.x509.Extension;
import org.bouncycastle.asn1.x509.GeneralName;
import org.bouncycastle.asn1.x509.GeneralNames;
import org.bouncycastle.openssl.PEMParser;
import org.bouncycastle.openssl.jcajce.JcaPEMKeyConverter;
import org.bouncycastle.operator.jcajce.JcaContentVerifierProviderBuilder;
import org.bouncycastle.pkcs.PKCS10CertificationRequest;

/** A CA on a real TLS port that answers as a test tells it to. */
final class ScriptedAuthority implements AutoCloseable {
  /** How a request is answered. */
  interface Script {
    void answer(Asked asked, StreamObserver<IstioCertificateResponse> to);
  }

  /** What was asked, the request's own signature checked. */
  record Asked(String identity, String sanOfRequest, boolean critical, PublicKey key, long life) {}

  final BlockingQueue<Asked> asked = new LinkedBlockingQueue<>();
  final List<X509Certificate> roots = new CopyOnWriteArrayList<>();
  volatile TestAuthority signing;
  volatile Duration life = Duration.ofHours(1);
  volatile Script script = this::issue;

  private final Server server;

  ScriptedAuthority(TestAuthority signing) throws IOException {
    this(signing, signing, "127.0.0.1", 0);
  }

  /**
   * @param servedBy issues the TLS port's own certificate, for {@code name}
   */
  ScriptedAuthority(TestAuthority signing, TestAuthority servedBy, String name, int port)
      throws IOException {
    this.signing = signing;
    this.roots.add(signing.root);
    TestAuthority.Held own =
        servedBy.issue(TestAuthority.Leaf.of().names(new GeneralName(GeneralName.iPAddress, name)));
    this.server =
        NettyServerBuilder.forAddress(
                new InetSocketAddress(InetAddress.ofLiteral("127.0.0.1"), port))
            .sslContext(
                GrpcSslContexts.configure(
                        SslContextBuilder.forServer(own.pair().getPrivate(), own.chain()),
                        SslProvider.JDK)
                    .build())
            .addService(
                new IstioCertificateServiceGrpc.IstioCertificateServiceImplBase() {
                  @Override
                  public void createCertificate(
                      IstioCertificateRequest request,
                      StreamObserver<IstioCertificateResponse> answer) {
                    Asked one = read(request);
                    asked.add(one);
                    script.answer(one, answer);
                  }
                })
            .build()
            .start();
  }

  private static Asked read(IstioCertificateRequest request) {
    try (PEMParser parser = new PEMParser(new StringReader(request.getCsr()))) {
      PKCS10CertificationRequest csr = (PKCS10CertificationRequest) parser.readObject();
      PublicKey key = new JcaPEMKeyConverter().getPublicKey(csr.getSubjectPublicKeyInfo());
      if (!csr.isSignatureValid(new JcaContentVerifierProviderBuilder().build(key))
          || csr.getSubject().getRDNs().length > 0) {
        throw new AssertionError("a request that is not proven, or has a subject");
      }
      Extension san = csr.getRequestedExtensions().getExtension(Extension.subjectAlternativeName);
      GeneralName[] names = GeneralNames.getInstance(san.getParsedValue()).getNames();
      if (names.length != 1 || names[0].getTagNo() != GeneralName.uniformResourceIdentifier) {
        throw new AssertionError("a request for something else than one URI");
      }
      return new Asked(
          request.getMetadata().getFieldsOrThrow("ImpersonatedIdentity").getStringValue(),
          names[0].getName().toString(),
          san.isCritical(),
          key,
          request.getValidityDuration());
    } catch (Exception e) {
      throw new AssertionError(e);
    }
  }

  void issue(Asked one, StreamObserver<IstioCertificateResponse> to) {
    give(one.identity(), one.key(), to);
  }

  void give(String identity, PublicKey key, StreamObserver<IstioCertificateResponse> to) {
    Instant now = Instant.now();
    give(TestAuthority.Leaf.of(identity).valid(now.minusSeconds(60), now.plus(life)), key, to);
  }

  void give(TestAuthority.Leaf leaf, PublicKey key, StreamObserver<IstioCertificateResponse> to) {
    List<String> chain = new ArrayList<>();
    chain.add(TestAuthority.pem(signing.issue(leaf, key)));
    StringBuilder bundle = new StringBuilder();
    roots.forEach(root -> bundle.append(TestAuthority.pem(root)));
    chain.add(bundle.toString());
    to.onNext(IstioCertificateResponse.newBuilder().addAllCertChain(chain).build());
    to.onCompleted();
  }

  static Script refusing(Status status) {
    return (_, to) -> to.onError(status.asRuntimeException());
  }

  Asked next() throws InterruptedException {
    Asked one = asked.poll(20, TimeUnit.SECONDS);
    if (one == null) {
      throw new AssertionError("the CA was not asked within 20 s");
    }
    return one;
  }

  int port() {
    return server.getPort();
  }

  @Override
  public void close() {
    server.shutdownNow();
    try {
      server.awaitTermination(5, TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}

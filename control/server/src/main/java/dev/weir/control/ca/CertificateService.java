package dev.weir.control.ca;

import com.google.protobuf.Value;
import dev.weir.api.model.SpiffeId;
import dev.weir.api.proto.ca.IstioCertificateRequest;
import dev.weir.api.proto.ca.IstioCertificateResponse;
import dev.weir.api.proto.ca.IstioCertificateServiceGrpc;
import dev.weir.control.log.Log;
import io.grpc.stub.StreamObserver;
import java.security.PublicKey;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.Objects;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.function.Supplier;

/** {@code istio.v1.auth.IstioCertificateService}. */
final class CertificateService extends IstioCertificateServiceGrpc.IstioCertificateServiceImplBase {
  static final String IMPERSONATED = "ImpersonatedIdentity";

  private final CaOptions options;
  private final Supplier<Authority> authority;
  private final Supplier<NodePods> pods;
  private final CaReport report;
  private final Refusals refusals;
  private final Executor thread;
  private final InstantSource clock;
  private final Log log;

  CertificateService(
      CaOptions options,
      Supplier<Authority> authority,
      Supplier<NodePods> pods,
      CaReport report,
      Refusals refusals,
      Executor thread,
      InstantSource clock,
      Log log) {
    this.options = options;
    this.authority = authority;
    this.pods = pods;
    this.report = report;
    this.refusals = refusals;
    this.thread = thread;
    this.clock = clock;
    this.log = log;
  }

  @Override
  public void createCertificate(
      IstioCertificateRequest request, StreamObserver<IstioCertificateResponse> answer) {
    Caller caller = Objects.requireNonNull(Admission.caller(), "a call that nobody admitted");
    try {
      thread.execute(() -> serve(caller, request, answer));
    } catch (RejectedExecutionException e) {
      refuse(
          new Refusal(Refusal.Cause.OVERLOADED, "too many requests wait already; try again"),
          caller,
          "",
          answer);
    }
  }

  private void serve(
      Caller caller,
      IstioCertificateRequest request,
      StreamObserver<IstioCertificateResponse> answer) {
    Instant now = clock.instant();
    String asked =
        request
            .getMetadata()
            .getFieldsOrDefault(IMPERSONATED, Value.getDefaultInstance())
            .getStringValue();
    try {
      SpiffeId identity = identity(caller, asked);
      PublicKey key = SigningRequest.provenKey(request.getCsr());
      Authority.Issued issued =
          authority.get().issue(key, identity, life(request.getValidityDuration()), now);
      report.issued();
      answer.onNext(IstioCertificateResponse.newBuilder().addAllCertChain(issued.chain()).build());
      answer.onCompleted();
    } catch (Refusal refusal) {
      refuse(refusal, caller, asked, answer);
    } catch (CaException e) {
      refuse(
          new Refusal(Refusal.Cause.CA_EXPIRED, String.valueOf(e.getMessage())),
          caller,
          asked,
          answer);
    } catch (RuntimeException e) {
      log.error("a request for a certificate failed", "caller", caller.label(), "reason", e);
      refuse(
          new Refusal(Refusal.Cause.INTERNAL, "the request failed; see the control plane's log"),
          caller,
          asked,
          answer);
    }
  }

  private void refuse(
      Refusal refusal,
      Caller caller,
      String identity,
      StreamObserver<IstioCertificateResponse> answer) {
    refusals.refused(refusal, caller.label(), identity, null);
    answer.onError(refusal.status().asRuntimeException());
  }

  /** Whose certificate the caller may have: never what the CSR says. */
  private SpiffeId identity(Caller caller, String asked) throws Refusal {
    if (asked.isEmpty()) {
      try {
        return new SpiffeId(options.trustDomain(), caller.namespace(), caller.serviceAccount());
      } catch (IllegalArgumentException e) {
        throw new Refusal(Refusal.Cause.IDENTITY_MALFORMED, String.valueOf(e.getMessage()));
      }
    }
    SpiffeId identity =
        switch (SpiffeId.parse(asked)) {
          case SpiffeId.Valid valid -> valid.id();
          case SpiffeId.Invalid invalid ->
              throw new Refusal(
                  Refusal.Cause.IDENTITY_MALFORMED, IMPERSONATED + ": " + invalid.reason());
        };
    if (!options.trustedNodeAccounts().contains(caller.account())) {
      throw new Refusal(
          Refusal.Cause.NOT_A_NODE_ACCOUNT,
          caller.account()
              + " may not ask for others (trusted: "
              + String.join(", ", options.trustedNodeAccounts())
              + ")");
    }
    if (!identity.trustDomain().equals(options.trustDomain())) {
      throw new Refusal(
          Refusal.Cause.TRUST_DOMAIN,
          identity + ": of another trust domain (expected: " + options.trustDomain() + ")");
    }
    NodePods now = pods.get();
    String node = now.node(caller);
    if (!now.runs(node, identity.toString())) {
      throw new Refusal(
          Refusal.Cause.NOT_ON_NODE, "no pod of " + identity + " runs on node " + node);
    }
    return identity;
  }

  private Duration life(long askedSeconds) {
    long most = options.mostLife().toSeconds();
    return Duration.ofSeconds(askedSeconds <= 0 ? most : Math.min(askedSeconds, most));
  }
}

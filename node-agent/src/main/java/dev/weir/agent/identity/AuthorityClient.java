package dev.weir.agent.identity;

import com.google.protobuf.Struct;
import com.google.protobuf.Value;
import dev.weir.api.proto.ca.IstioCertificateRequest;
import dev.weir.api.proto.ca.IstioCertificateResponse;
import dev.weir.api.proto.ca.IstioCertificateServiceGrpc;
import io.grpc.stub.StreamObserver;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/** The CA, asked. Calls and answers on the identity thread. */
final class AuthorityClient {
  /** Two roots and a few issuers are 10 KiB. */
  private static final int MOST_ANSWER_BYTES = 1 << 20;

  /** What came back: one of the two is called, once. */
  interface Answer {
    void chain(List<String> pems);

    void failed(FetchFailure failure);
  }

  private final ControlLine line;
  private final Duration within;
  private final Executor thread;

  AuthorityClient(ControlLine line, Duration within, Executor thread) {
    this.line = line;
    this.within = within;
    this.thread = thread;
  }

  void request(String identity, String csr, Duration life, Answer answer) {
    line.dialNow();
    IstioCertificateServiceGrpc.newStub(line.calls())
        .withExecutor(thread)
        .withMaxInboundMessageSize(MOST_ANSWER_BYTES)
        .withDeadlineAfter(within.toMillis(), TimeUnit.MILLISECONDS)
        .createCertificate(
            IstioCertificateRequest.newBuilder()
                .setCsr(csr)
                .setValidityDuration(life.toSeconds())
                .setMetadata(
                    Struct.newBuilder()
                        .putFields(
                            "ImpersonatedIdentity",
                            Value.newBuilder().setStringValue(identity).build()))
                .build(),
            new Once(answer));
  }

  void learn(TrustRoots roots) {
    line.learn(roots);
  }

  private static final class Once implements StreamObserver<IstioCertificateResponse> {
    private final Answer answer;
    private @Nullable IstioCertificateResponse response;

    Once(Answer answer) {
      this.answer = answer;
    }

    @Override
    public void onNext(IstioCertificateResponse value) {
      response = value;
    }

    @Override
    public void onError(Throwable cause) {
      answer.failed(FetchFailure.of(LineFailure.of(cause, "the CA")));
    }

    @Override
    public void onCompleted() {
      IstioCertificateResponse got = response;
      if (got == null) {
        answer.failed(
            new FetchFailure(FetchFailure.Cause.BAD_ANSWER, "the CA answered with nothing"));
      } else {
        answer.chain(got.getCertChainList());
      }
    }
  }
}

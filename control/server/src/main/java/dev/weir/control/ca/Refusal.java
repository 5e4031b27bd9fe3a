package dev.weir.control.ca;

import io.grpc.Status;
import java.util.Locale;

/** Why a caller got nothing: for the caller, the log and the counters. */
public final class Refusal extends Exception {
  private static final long serialVersionUID = 1;

  /** What is wrong. */
  public enum Cause {
    TOKEN_MISSING(Status.Code.UNAUTHENTICATED),
    TOKEN_MALFORMED(Status.Code.UNAUTHENTICATED),
    TOKEN_SIGNATURE(Status.Code.UNAUTHENTICATED),
    TOKEN_EXPIRED(Status.Code.UNAUTHENTICATED),
    TOKEN_NOT_YET_VALID(Status.Code.UNAUTHENTICATED),
    TOKEN_AUDIENCE(Status.Code.UNAUTHENTICATED),
    TOKEN_ISSUER(Status.Code.UNAUTHENTICATED),
    TOKEN_KEYS(Status.Code.UNAVAILABLE),
    /** It was good when the stream began. */
    TOKEN_RAN_OUT(Status.Code.UNAUTHENTICATED),
    IDENTITY_MALFORMED(Status.Code.INVALID_ARGUMENT),
    TRUST_DOMAIN(Status.Code.PERMISSION_DENIED),
    NOT_A_NODE_ACCOUNT(Status.Code.PERMISSION_DENIED),
    NODE_UNKNOWN(Status.Code.PERMISSION_DENIED),
    NOT_ON_NODE(Status.Code.PERMISSION_DENIED),
    /** It says that it is another node than its token does. */
    OTHER_NODE(Status.Code.PERMISSION_DENIED),
    MESH_UNKNOWN(Status.Code.UNAVAILABLE),
    CSR_MALFORMED(Status.Code.INVALID_ARGUMENT),
    CSR_KEY(Status.Code.INVALID_ARGUMENT),
    CSR_PROOF(Status.Code.INVALID_ARGUMENT),
    OVERLOADED(Status.Code.RESOURCE_EXHAUSTED),
    CA_EXPIRED(Status.Code.UNAVAILABLE),
    INTERNAL(Status.Code.INTERNAL);

    private final Status.Code code;

    Cause(Status.Code code) {
      this.code = code;
    }

    Status.Code code() {
      return code;
    }

    /** As counters and logs spell it. */
    String label() {
      return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
  }

  private final Cause why;

  public Refusal(Cause why, String message) {
    super(message, null, false, false);
    this.why = why;
  }

  Cause why() {
    return why;
  }

  /** As the caller hears it. */
  public Status status() {
    return Status.fromCode(why.code()).withDescription(String.valueOf(getMessage()));
  }
}

package dev.weir.agent.authz;

import java.util.List;

/**
 * What policies say of a call.
 *
 * @param policy {@code namespace/name} of the one that decided; empty where none had to
 * @param wouldDeny policies in shadow mode that would have denied what is allowed
 */
public record Verdict(Reason reason, String policy, List<String> wouldDeny) {
  /** By nobody's word: nothing speaks against it. */
  public static final Verdict ALLOWED = new Verdict(Reason.ALLOWED, "", List.of());

  public Verdict {
    wouldDeny = List.copyOf(wouldDeny);
  }

  /** Why. */
  public enum Reason {
    ALLOWED("allowed"),
    /** A policy denies it. */
    DENIED("denied"),
    /** There are policies that allow, and none allows it. */
    NOT_ALLOWED("denied"),
    /** The workload wants callers that prove who they are. */
    MTLS_REQUIRED("mtls-required"),
    /** The node lacks a policy that concerns the workload, so it cannot know. */
    POLICY_UNKNOWN("policy-unknown");

    private final String label;

    Reason(String label) {
      this.label = label;
    }

    /** As status and metrics show it. */
    public String label() {
      return label;
    }
  }

  public boolean allowed() {
    return reason == Reason.ALLOWED;
  }

  /** For the access log: what happened, and by which policy. */
  public String detail() {
    return switch (reason) {
      case ALLOWED -> "";
      case DENIED -> "denied by policy " + policy;
      case NOT_ALLOWED -> "not allowed by policy " + policy;
      case MTLS_REQUIRED -> "mtls-required by policy " + policy;
      case POLICY_UNKNOWN ->
          policy.isEmpty()
              ? "policy-unknown: nothing is known of the workload"
              : "policy-unknown: " + policy + " has not come, or cannot be read";
    };
  }
}

package dev.weir.agent.telemetry;

/** Why the agent itself refused; the kernel's reasons are {@link dev.weir.agent.capture.Reason}. */
public enum Refusal {
  ORIGINAL_LOST("original-lost"),
  NO_ENDPOINT("no-endpoint"),
  CONNECT_REFUSED("connect-refused"),
  CONNECT_TIMEOUT("connect-timeout"),
  CONNECT_FAILED("connect-failed"),
  SELF_PORT("self-port"),
  NOT_ENROLLED("not-enrolled"),
  OVERLOAD("overload"),
  /** By a policy. */
  DENIED("denied"),
  /** The workload takes callers with a proven identity only. */
  MTLS_REQUIRED("mtls-required"),
  /** A policy that concerns the workload has not come to the node. */
  POLICY_UNKNOWN("policy-unknown"),
  DNS_MALFORMED("dns-malformed"),
  DNS_OVERLOAD("dns-overload");

  private final String label;

  Refusal(String label) {
    this.label = label;
  }

  /** As status and metrics show it. */
  public String label() {
    return label;
  }
}

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
  /** The pod has as many connections as one may have. */
  OVERLOAD_CONNECTIONS("overload-connections"),
  /** The pod has as many streams in tunnels as one may have. */
  OVERLOAD_STREAMS("overload-streams"),
  /** The pod has had its handshakes of this second. */
  OVERLOAD_HANDSHAKES("overload-handshakes"),
  /** The pod's connections hold more than one pod may. */
  OVERLOAD_BUFFERS("overload-buffers"),
  /** The node's buffers are full, and the pod holds most of them. */
  OVERLOAD_MEMORY("overload-memory"),
  /** By a policy. */
  DENIED("denied"),
  /** The workload takes callers with a proven identity only. */
  MTLS_REQUIRED("mtls-required"),
  /** A policy that concerns the workload has not come to the node. */
  POLICY_UNKNOWN("policy-unknown"),
  /** The control plane has not certified the pod (yet), so it can neither call nor be called. */
  NO_IDENTITY("no-identity"),
  /** In another network, to which no gateway leads that could be told from somebody else. */
  NO_GATEWAY("no-gateway"),
  /** The other node did not shake hands: silent, not TLS 1.3, or not HTTP/2. */
  TUNNEL_FAILED("tunnel-failed"),
  /** Whoever answered is not whom the control plane says that it is. */
  WRONG_PEER("wrong-peer"),
  /** The CRL names the certificate of whoever called or answered. */
  REVOKED("revoked"),
  /** The other node refused the caller by policy. */
  DENIED_THERE("denied-there"),
  /** The other node could not serve the request. */
  UNSERVED_THERE("unserved-there"),
  /** A request in a tunnel that no sane client sends. */
  BAD_TUNNEL_REQUEST("bad-tunnel-request"),
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

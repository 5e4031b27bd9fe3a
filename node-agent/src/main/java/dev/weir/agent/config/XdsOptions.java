package dev.weir.agent.config;

import java.time.Duration;

/**
 * Where the control plane is and who asks.
 *
 * @param target {@code host:port}, {@code [v6]:port}
 * @param node the Kubernetes node this agent runs on
 * @param address one of the node's addresses, as Istio's node ids carry it
 * @param network the node's; empty where networks are not looked at
 * @param keepAlive a connection that says nothing for this long is asked whether it lives
 */
public record XdsOptions(
    String target,
    String node,
    String address,
    String podName,
    String namespace,
    String version,
    String network,
    Duration keepAlive) {

  public static XdsOptions of(String target, String node, String address, String version) {
    return new XdsOptions(
        target,
        node,
        address,
        "weir-agent-" + node,
        "weir-system",
        version,
        "",
        Duration.ofSeconds(30));
  }

  /** The same, of a node in a network of a mesh that has several. */
  public XdsOptions in(String name) {
    return new XdsOptions(target, node, address, podName, namespace, version, name, keepAlive);
  }

  /**
   * {@code ztunnel~IP~POD.NS~NS.svc.cluster.local}: by its first word an istiod knows that it is
   * asked for addresses.
   */
  String nodeId() {
    return "ztunnel~"
        + address
        + "~"
        + podName
        + "."
        + namespace
        + "~"
        + namespace
        + ".svc.cluster.local";
  }
}

package dev.weir.agent.config;

/**
 * Who asks the control plane.
 *
 * @param node the Kubernetes node this agent runs on
 * @param address one of the node's addresses, as Istio's node ids carry it
 * @param network the node's; empty where networks are not looked at
 */
public record XdsOptions(
    String node, String address, String podName, String namespace, String version, String network) {

  public static XdsOptions of(String node, String address, String version) {
    return new XdsOptions(node, address, "weir-agent-" + node, "weir-system", version, "");
  }

  /** The same, of a node in a network of a mesh that has several. */
  public XdsOptions in(String name) {
    return new XdsOptions(node, address, podName, namespace, version, name);
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

package dev.weir.lab;

import dev.weir.api.kube.AccessPolicy;
import dev.weir.api.kube.Condition;
import dev.weir.api.kube.EndpointSlice;
import dev.weir.api.kube.KubeObject;
import dev.weir.api.kube.Metadata;
import dev.weir.api.kube.Namespace;
import dev.weir.api.kube.Node;
import dev.weir.api.kube.Pod;
import dev.weir.api.kube.Service;
import dev.weir.api.kube.ServiceAccount;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * What there is, for those who must know: the folder that the control plane reads, the cluster's
 * DNS, and each node's rules for ClusterIPs. Desk only.
 */
final class Bulletin {
  private final Desk desk;
  private final Paths paths;
  private final Objects objects;
  private final LabNodes nodes;
  private final StateFolder state;
  private final ClusterDns dns;
  private final Waiters waiters;
  private List<ServiceRules.Backed> backed = List.of();
  private String rules = "";

  Bulletin(
      Desk desk, Paths paths, Objects objects, LabNodes nodes, ClusterDns dns, Waiters waiters) {
    this.desk = desk;
    this.paths = paths;
    this.objects = objects;
    this.nodes = nodes;
    this.state = new StateFolder(paths.state());
    this.dns = dns;
    this.waiters = waiters;
  }

  /** Services with who answers for them. */
  List<ServiceRules.Backed> services() {
    return backed;
  }

  /** Whether a node's ClusterIPs are what they should be. */
  boolean inForce(NodeKit kit) {
    return kit.rulesApplied.equals(rules);
  }

  void publish(Collection<PodRun> pods) {
    List<Pod> current = pods.stream().map(PodRun::pod).toList();
    List<EndpointSlice> slices = new ArrayList<>(objects.all(EndpointSlice.class));
    for (Service service : objects.all(Service.class)) {
      slices.addAll(Endpoints.slices(service, current, nodes::zone));
    }
    backed =
        objects.all(Service.class).stream()
            .map(service ->
                new ServiceRules.Backed(
                    service,
                    slices.stream()
                        .filter(slice ->
                            slice.namespace().equals(service.namespace())
                                && slice.serviceName().equals(service.name()))
                        .toList()))
            .toList();
    Map<String, KubeObject> namespaces = new TreeMap<>();
    Map<String, KubeObject> accounts = new TreeMap<>();
    for (Namespace namespace : objects.all(Namespace.class)) {
      String name = namespace.name();
      namespaces.put(name, namespace);
      accounts.put(name + "/default", new ServiceAccount(Metadata.named(name, "default")));
    }
    for (Pod pod : current) {
      String account = pod.spec().serviceAccountName();
      accounts.putIfAbsent(
          pod.namespace() + "/" + account,
          new ServiceAccount(Metadata.named(pod.namespace(), account)));
    }
    objects
        .all(ServiceAccount.class)
        .forEach(account -> accounts.put(account.namespace() + "/" + account.name(), account));
    dns.know(backed, Set.copyOf(namespaces.keySet()));
    rules = ServiceRules.script(backed);
    applyRules();
    List<KubeObject> shown = new ArrayList<>();
    nodes.all().forEach(node -> shown.add(nodeObject(node)));
    shown.addAll(namespaces.values());
    shown.addAll(accounts.values());
    shown.addAll(objects.all(Service.class));
    shown.addAll(objects.all(AccessPolicy.class));
    shown.addAll(slices);
    shown.addAll(current);
    state.show(shown);
  }

  private static Node nodeObject(LabNode node) {
    return new Node(
        Metadata.named("", node.name()).withLabels(Placement.labels(node)),
        List.of(
            Addressing.of(Addressing.nodeV4(node.number())),
            Addressing.of(Addressing.nodeV6(node.number()))),
        List.of(Addressing.podsV4(node.number()), Addressing.podsV6(node.number())),
        List.of(Condition.of(Condition.READY, true)));
  }

  /** One nft a node at a time; the latest rules win. */
  private void applyRules() {
    for (LabNode node : nodes.all()) {
      NodeKit kit = nodes.kit(node);
      if (kit.rulesInHand || inForce(kit)) {
        continue;
      }
      kit.rulesInHand = true;
      String script = rules;
      desk.delegate(
          () ->
              Command.run(
                  List.of(
                      "nsenter",
                      "--net=/run/netns/" + paths.nodeName(node.name()),
                      "nft",
                      "-f",
                      "-"),
                  script),
          done -> {
            kit.rulesInHand = false;
            kit.rulesApplied = script;
            applyRules();
            waiters.answer();
          },
          e -> {
            kit.rulesInHand = false;
            kit.rulesApplied = script;
            Log.warn(
                "node "
                    + node.name()
                    + ": ClusterIPs are not as they should be: "
                    + e.getMessage());
          });
    }
  }
}

package dev.weir.lab;

import java.util.Collection;
import java.util.List;
import java.util.StringJoiner;

/**
 * The cables of a lab: a bridge in a namespace of its own (the fabric), one veth link from it to
 * each node and to the control plane, and one from each pod to its node, which routes. Nothing of
 * it is in the machine's own namespace, so no packet can leave and no firewall of the machine is
 * asked. Each step is one shell run with {@code ip -batch} inside: an exec costs more than what it
 * does.
 */
final class Wiring {
  private final Paths paths;

  Wiring(Paths paths) {
    this.paths = paths;
  }

  /** The fabric and the control plane's namespace. */
  void fabric() {
    StringJoiner script = script();
    script.add(
        """
        ip -batch - <<END
        netns add %1$s
        netns add %2$s
        END
        ip -n %1$s -batch - <<END
        link set lo up
        link add br0 type bridge mcast_snooping 0
        link set br0 up
        link add control type veth peer name eth0 netns %2$s
        link set control master br0
        link set control up
        END
        """
            .formatted(paths.fabricName(), paths.controlName()));
    inside(
        script,
        paths.controlName(),
        "",
        """
        link set lo up
        addr add %s/16 dev eth0
        addr add %s/64 dev eth0 nodad
        link set eth0 up
        """
            .formatted(Addressing.CONTROL_V4, Addressing.CONTROL_V6));
    run(script);
  }

  /** One more node, and the ways between it and those that are there. */
  void node(String name, int number, Collection<LabNode> others) {
    String netns = paths.nodeName(name);
    StringJoiner script = script();
    script.add(
        """
        ip netns add %1$s
        ip -n %2$s -batch - <<END
        link add n%3$d type veth peer name eth0 netns %1$s
        link set n%3$d master br0
        link set n%3$d up
        END
        """
            .formatted(netns, paths.fabricName(), number));
    StringBuilder batch =
        new StringBuilder(
            """
            link set lo up
            addr add %s/32 dev lo
            addr add %s/16 dev eth0
            addr add %s/64 dev eth0 nodad
            link set eth0 up
            """
                .formatted(
                    Addressing.DNS.getHostAddress(),
                    Addressing.nodeV4(number),
                    Addressing.nodeV6(number)));
    others.forEach(other -> batch.append(wayTo(other.number(), "add")));
    inside(
        script,
        netns,
        """
        echo 1 > /proc/sys/net/ipv4/ip_forward
        echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
        """,
        batch.toString());
    for (LabNode other : others) {
      inside(script, paths.nodeName(other.name()), "", wayTo(number, "replace"));
    }
    inside(script, paths.controlName(), "", wayTo(number, "replace"));
    run(script);
  }

  private static String wayTo(int number, String verb) {
    return """
    route %1$s %2$s via %3$s
    route %1$s %4$s via %5$s
    """
        .formatted(
            verb,
            Addressing.podsV4(number),
            Addressing.nodeV4(number),
            Addressing.podsV6(number),
            Addressing.nodeV6(number));
  }

  /**
   * A pod's namespace and its link: routed, as the ptp CNI plugin does it, so that traffic between
   * two pods of one node passes the node's nftables too. The node's own address is the source of
   * what the node sends, as a kubelet's probes have it.
   */
  void pod(String netns, LabNode node, int number) {
    StringJoiner script = script();
    String gateway4 = Addressing.podV4(node.number(), 1);
    String gateway6 = Addressing.podV6(node.number(), 1);
    String v4 = Addressing.podV4(node.number(), number);
    String v6 = Addressing.podV6(node.number(), number);
    script.add(
        """
        ip netns add %1$s
        ip -n %2$s -batch - <<END
        link add v%3$d type veth peer name eth0 netns %1$s
        addr add %4$s/32 dev v%3$d
        addr add %5$s/128 dev v%3$d nodad
        link set v%3$d up
        route add %6$s dev v%3$d src %7$s
        route add %8$s dev v%3$d src %9$s
        END
        """
            .formatted(
                netns,
                paths.nodeName(node.name()),
                number,
                gateway4,
                gateway6,
                v4,
                Addressing.nodeV4(node.number()),
                v6,
                Addressing.nodeV6(node.number())));
    inside(
        script,
        netns,
        // As container runtimes set it: a server that is not root may listen on port 80.
        "echo 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start",
        """
        link set lo up
        addr add %1$s/32 dev eth0
        addr add %2$s/128 dev eth0 nodad
        link set eth0 up
        route add %3$s dev eth0 scope link
        route add default via %3$s dev eth0
        route add %4$s dev eth0
        route add default via %4$s dev eth0
        """
            .formatted(v4, v6, gateway4, gateway6));
    run(script);
  }

  /**
   * Takes a pod's namespace away, its link with it. The kernel finishes on its own time, so the
   * node's end goes first.
   */
  void unplug(String netns, LabNode node, int number) {
    Command.attempt(
        List.of("sh"),
        "ip -n %s link delete v%d\nip netns delete %s\n"
            .formatted(paths.nodeName(node.name()), number, netns),
        Command.USUAL);
  }

  private static StringJoiner script() {
    return new StringJoiner("\n", "set -e\n", "\n");
  }

  /**
   * accept_dad 0: an address is usable at once, not after a second of duplicate detection, even
   * link-local ones.
   */
  private static void inside(StringJoiner script, String netns, String shell, String batch) {
    script.add(
        """
        nsenter --net=/run/netns/%s sh -e <<'SHELL'
        for kind in all default eth0; do
          [ ! -e /proc/sys/net/ipv6/conf/$kind ] || echo 0 > /proc/sys/net/ipv6/conf/$kind/accept_dad
        done
        %s
        ip -batch - <<'END'
        %sEND
        SHELL
        """
            .formatted(netns, shell.strip(), batch));
  }

  private static void run(StringJoiner script) {
    Command.run(List.of("sh"), script.toString());
  }
}

package dev.weir.agent.capture;

import dev.weir.api.model.Cidr;
import dev.weir.api.model.PodSettings;
import dev.weir.api.model.PortRange;
import dev.weir.bpf.Layouts;
import dev.weir.ffi.Bpf.BpfMap;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** A pod's exceptions in {@code weir_ports} and {@code weir_cidrs}. On the capture thread. */
final class PodRules {
  private static final byte[] PRESENT = {1};

  private record Rule(int port, int kind) {}

  private final BpfMap ports;
  private final BpfMap cidrs;

  PodRules(BpfMap ports, BpfMap cidrs) {
    this.ports = ports;
    this.cidrs = cidrs;
  }

  /** Makes the pod's rules those of the settings; what both have is never missing meanwhile. */
  void replace(long cookie, PodSettings before, PodSettings now) {
    Set<Rule> old = rules(before);
    Set<Rule> wanted = rules(now);
    for (Rule rule : wanted) {
      if (!old.contains(rule)) {
        ports.update(Layouts.portKey(cookie, rule.port, rule.kind), PRESENT);
      }
    }
    for (Rule rule : old) {
      if (!wanted.contains(rule)) {
        ports.delete(Layouts.portKey(cookie, rule.port, rule.kind));
      }
    }
    Set<Cidr> oldBlocks = new HashSet<>(before.excludeOutboundCidrs());
    Set<Cidr> blocks = new HashSet<>(now.excludeOutboundCidrs());
    for (Cidr block : blocks) {
      if (!oldBlocks.contains(block)) {
        cidrs.update(Layouts.cidrKey(cookie, block.address(), block.prefixBits()), PRESENT);
      }
    }
    for (Cidr block : oldBlocks) {
      if (!blocks.contains(block)) {
        cidrs.delete(Layouts.cidrKey(cookie, block.address(), block.prefixBits()));
      }
    }
  }

  /** As {@link #replace}, where what stands is another agent's. */
  void settle(long cookie, PodSettings now) {
    replace(cookie, PodSettings.DEFAULT, now);
    Set<ByteBuffer> wanted = new HashSet<>();
    rules(now)
        .forEach(
            rule -> wanted.add(ByteBuffer.wrap(Layouts.portKey(cookie, rule.port, rule.kind))));
    now.excludeOutboundCidrs()
        .forEach(block ->
            wanted.add(
                ByteBuffer.wrap(Layouts.cidrKey(cookie, block.address(), block.prefixBits()))));
    deleteUnless(wanted, cookie);
  }

  /** What a former agent may have left for a namespace. */
  void clear(long cookie) {
    deleteUnless(Set.of(), cookie);
  }

  private void deleteUnless(Set<ByteBuffer> wanted, long cookie) {
    List<byte[]> doomed = new ArrayList<>();
    ports.forEach((key, value) -> {
      if (Layouts.read(key).getLong() == cookie && !wanted.contains(ByteBuffer.wrap(key))) {
        doomed.add(key);
      }
    });
    doomed.forEach(ports::delete);
    doomed.clear();
    cidrs.forEach((key, value) -> {
      if (Layouts.cidrCookie(key) == cookie && !wanted.contains(ByteBuffer.wrap(key))) {
        doomed.add(key);
      }
    });
    doomed.forEach(cidrs::delete);
  }

  static boolean hasPorts(PodSettings settings) {
    return !settings.excludeInboundPorts().isEmpty()
        || !settings.excludeOutboundPorts().isEmpty()
        || !settings.probePorts().isEmpty();
  }

  static boolean hasCidrs(PodSettings settings) {
    return !settings.excludeOutboundCidrs().isEmpty();
  }

  private static Set<Rule> rules(PodSettings settings) {
    Set<Rule> rules = new HashSet<>();
    addAll(rules, settings.excludeInboundPorts(), Layouts.PORT_EXCLUDE_INBOUND);
    addAll(rules, settings.excludeOutboundPorts(), Layouts.PORT_EXCLUDE_OUTBOUND);
    settings.probePorts().forEach(port -> rules.add(new Rule(port, Layouts.PORT_PROBE)));
    return rules;
  }

  private static void addAll(Set<Rule> rules, List<PortRange> ranges, int kind) {
    for (PortRange range : ranges) {
      for (int port = range.first(); port <= range.last(); port++) {
        rules.add(new Rule(port, kind));
      }
    }
  }
}

package dev.weir.api.dns;

import java.net.Inet4Address;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The names of Kubernetes' DNS specification 1.1.0: {@code SERVICE.NS.svc.DOMAIN}, {@code
 * _PORT._PROTO.SERVICE.NS.svc.DOMAIN}, {@code HOST.SERVICE.NS.svc.DOMAIN} behind headless Services,
 * ExternalName as CNAME, and PTR. The agent answers enrolled pods with it and the lab's cluster DNS
 * everybody else, so a name means the same with Weir and without.
 */
public final class ServiceZone {
  /** CoreDNS's own default for Services; short, since a headless name follows its pods. */
  public static final int TTL_SECONDS = 5;

  /** How long an absence may be remembered: a Service that appears must not stay hidden. */
  public static final int NEGATIVE_TTL_SECONDS = 5;

  /** RFC 2782 has no use for order here; CoreDNS gives each target the same share. */
  private static final int SRV_WEIGHT_TOTAL = 100;

  private final String domain;
  private final String suffix;
  private final ServiceNames names;
  private final DnsRecord.Authority authority;

  public ServiceZone(String domain, ServiceNames names) {
    this.domain = DnsName.of(domain);
    this.suffix = ".svc." + this.domain;
    this.names = names;
    this.authority =
        new DnsRecord.Authority(
            this.domain,
            NEGATIVE_TTL_SECONDS,
            "ns.dns." + this.domain,
            "hostmaster." + this.domain,
            1,
            NEGATIVE_TTL_SECONDS);
  }

  /** What the zone says to a question. */
  public sealed interface Resolution permits Answered, External, Unknown {}

  /** It is ours: records, NODATA or NXDOMAIN. */
  public record Answered(DnsAnswer answer) implements Resolution {}

  /**
   * An alias that leads out of the zone: {@code alias} goes first, then whatever the server for
   * {@code target} says to the same type.
   */
  public record External(DnsRecord.Alias alias, String target) implements Resolution {}

  /**
   * Not ours, or nothing is known of it. {@code inDomain}: below the cluster's domain, so nobody
   * outside can know it.
   */
  public record Unknown(boolean inDomain) implements Resolution {}

  /** The SOA that goes with an absence in this zone. */
  public DnsRecord.Authority authority() {
    return authority;
  }

  public Resolution resolve(DnsQuestion question) {
    if (question.dnsClass() != Dns.CLASS_IN && question.dnsClass() != Dns.CLASS_ANY) {
      return new Unknown(false);
    }
    return resolve(question.name(), question.type(), 0);
  }

  private Resolution resolve(String name, int type, int depth) {
    if (type == Dns.PTR && name.endsWith(".arpa")) {
      return reverse(name);
    }
    boolean inDomain = inDomain(name);
    if (!name.endsWith(suffix)) {
      ServiceNames.Entry entry = names.host(name);
      return entry == null ? new Unknown(inDomain) : service(name, type, entry, depth);
    }
    String rest = name.substring(0, name.length() - suffix.length());
    int dot = rest.lastIndexOf('.');
    String namespace = rest.substring(dot + 1);
    if (dot < 0) {
      // An empty non-terminal: NS.svc.DOMAIN exists where the namespace does, and has no records.
      return names.knowsNamespace(namespace) ? absent(Dns.NOERROR) : new Unknown(true);
    }
    String front = rest.substring(0, dot);
    int last = front.lastIndexOf('.');
    ServiceNames.Entry entry = names.service(namespace, front.substring(last + 1));
    if (entry == null) {
      return names.knowsNamespace(namespace) ? absent(Dns.NXDOMAIN) : new Unknown(true);
    }
    if (last < 0) {
      return service(name, type, entry, depth);
    }
    return below(name, front.substring(0, last), type, entry);
  }

  private Resolution service(String name, int type, ServiceNames.Entry entry, int depth) {
    String external = entry.externalName();
    if (external != null) {
      return alias(name, type, external, depth);
    }
    if (type == Dns.SRV) {
      return servers(name, entry, null, null);
    }
    List<DnsRecord> records = new ArrayList<>();
    if (entry.headless()) {
      for (ServiceNames.Endpoint endpoint : entry.endpoints()) {
        addresses(records, name, endpoint.addresses(), type);
      }
      // A headless Service with no pod at all does not exist for DNS (CoreDNS answers NXDOMAIN).
      if (records.isEmpty() && entry.endpoints().isEmpty()) {
        return absent(Dns.NXDOMAIN);
      }
    } else {
      addresses(records, name, entry.addresses(), type);
    }
    return records.isEmpty() ? absent(Dns.NOERROR) : new Answered(DnsAnswer.of(records));
  }

  /** Names below a Service: {@code _port._proto}, its half {@code _proto}, or a pod's host name. */
  private Resolution below(String name, String labels, int type, ServiceNames.Entry entry) {
    int dot = labels.indexOf('.');
    if (dot > 0
        && labels.charAt(0) == '_'
        && labels.charAt(dot + 1) == '_'
        && labels.indexOf('.', dot + 1) < 0) {
      String port = labels.substring(1, dot);
      String protocol = labels.substring(dot + 2);
      boolean known =
          entry.ports().stream()
              .anyMatch(p -> p.name().equals(port) && p.protocol().equals(protocol));
      if (!known) {
        return absent(Dns.NXDOMAIN);
      }
      return type == Dns.SRV ? servers(name, entry, port, protocol) : absent(Dns.NOERROR);
    }
    if (dot >= 0) {
      return absent(Dns.NXDOMAIN);
    }
    if (labels.startsWith("_")) {
      String protocol = labels.substring(1);
      boolean known =
          entry.ports().stream()
              .anyMatch(p -> !p.name().isEmpty() && p.protocol().equals(protocol));
      return absent(known ? Dns.NOERROR : Dns.NXDOMAIN);
    }
    List<DnsRecord> records = new ArrayList<>();
    boolean found = false;
    for (ServiceNames.Endpoint endpoint : entry.endpoints()) {
      for (InetAddress address : endpoint.addresses()) {
        if (labels.equals(hostLabel(endpoint, address))) {
          found = true;
          addresses(records, name, List.of(address), type);
        }
      }
    }
    if (!found) {
      return absent(Dns.NXDOMAIN);
    }
    return records.isEmpty() ? absent(Dns.NOERROR) : new Answered(DnsAnswer.of(records));
  }

  private Resolution servers(
      String name, ServiceNames.Entry entry, @Nullable String port, @Nullable String protocol) {
    List<DnsRecord> servers = new ArrayList<>();
    List<DnsRecord> extra = new ArrayList<>();
    String base = entry.name() + "." + entry.namespace() + suffix;
    for (int i = 0; i < entry.ports().size(); i++) {
      ServiceNames.Port candidate = entry.ports().get(i);
      if (port != null
          && !(candidate.name().equals(port) && candidate.protocol().equals(protocol))) {
        continue;
      }
      if (!entry.headless()) {
        servers.add(
            new DnsRecord.Server(name, TTL_SECONDS, 0, SRV_WEIGHT_TOTAL, candidate.number(), base));
        continue;
      }
      int share = Math.max(1, SRV_WEIGHT_TOTAL / Math.max(1, entry.endpoints().size()));
      for (ServiceNames.Endpoint endpoint : entry.endpoints()) {
        // A named port may be a different number in each pod; 0 says that this one has none of that
        // name.
        int target =
            i < endpoint.targetPorts().size() ? endpoint.targetPorts().get(i) : candidate.number();
        if (target == 0) {
          continue;
        }
        for (InetAddress address : endpoint.addresses()) {
          String host = hostLabel(endpoint, address) + "." + base;
          DnsRecord server = new DnsRecord.Server(name, TTL_SECONDS, 0, share, target, host);
          if (!servers.contains(server)) {
            servers.add(server);
          }
          DnsRecord record = new DnsRecord.Address(host, TTL_SECONDS, address);
          if (!extra.contains(record)) {
            extra.add(record);
          }
        }
      }
    }
    if (servers.isEmpty()) {
      return absent(Dns.NOERROR);
    }
    if (!entry.headless()) {
      for (InetAddress address : entry.addresses()) {
        extra.add(new DnsRecord.Address(base, TTL_SECONDS, address));
      }
    }
    return new Answered(new DnsAnswer(Dns.NOERROR, true, servers, List.of(), extra));
  }

  private Resolution alias(String name, int type, String external, int depth) {
    if (!DnsName.isValid(external)) {
      return new Answered(DnsAnswer.failure(Dns.SERVFAIL));
    }
    DnsRecord.Alias alias = new DnsRecord.Alias(name, TTL_SECONDS, external);
    if (type == Dns.CNAME) {
      return new Answered(DnsAnswer.of(List.of(alias)));
    }
    // An ExternalName may name another Service of the cluster, and that one another; eight is where
    // a loop is called a loop.
    if (depth >= 8) {
      return new Answered(DnsAnswer.failure(Dns.SERVFAIL));
    }
    return switch (resolve(external, type, depth + 1)) {
      case Answered answered -> {
        DnsAnswer target = answered.answer();
        List<DnsRecord> records = new ArrayList<>();
        records.add(alias);
        records.addAll(target.answers());
        yield new Answered(
            new DnsAnswer(target.rcode(), true, records, target.authority(), target.additional()));
      }
      case External further -> new External(alias, further.target());
      case Unknown unknown -> new External(alias, external);
    };
  }

  private Resolution reverse(String name) {
    InetAddress address = ReverseName.address(name);
    if (address == null) {
      return new Unknown(false);
    }
    String host = names.nameOf(address);
    return host == null
        ? new Unknown(false)
        : new Answered(DnsAnswer.of(List.of(new DnsRecord.Pointer(name, TTL_SECONDS, host))));
  }

  private Resolution absent(int rcode) {
    return new Answered(DnsAnswer.absent(rcode, authority));
  }

  private boolean inDomain(String name) {
    return name.equals(domain) || name.endsWith("." + domain);
  }

  private static void addresses(
      List<DnsRecord> records, String name, List<InetAddress> addresses, int type) {
    for (InetAddress address : addresses) {
      int family = address instanceof Inet4Address ? Dns.A : Dns.AAAA;
      if (type == family || type == Dns.ANY) {
        records.add(new DnsRecord.Address(name, TTL_SECONDS, address));
      }
    }
  }

  /** A pod's own host name, or its address with dashes, as CoreDNS names endpoints without one. */
  private static String hostLabel(ServiceNames.Endpoint endpoint, InetAddress address) {
    String hostname = endpoint.hostname();
    if (hostname != null && !hostname.isEmpty()) {
      return hostname;
    }
    byte[] bytes = address.getAddress();
    StringBuilder label = new StringBuilder();
    if (bytes.length == 4) {
      for (byte b : bytes) {
        label.append(label.isEmpty() ? "" : "-").append(b & 0xff);
      }
    } else {
      for (int i = 0; i < 16; i += 2) {
        label
            .append(i == 0 ? "" : "-")
            .append(Integer.toHexString((bytes[i] & 0xff) << 8 | (bytes[i + 1] & 0xff)));
      }
    }
    return label.toString();
  }
}

package dev.weir.agent;

import dev.weir.agent.dns.Upstreams;
import dev.weir.agent.fairness.Limits;
import dev.weir.agent.identity.IdentityOptions;
import dev.weir.agent.identity.LineOptions;
import dev.weir.agent.log.Level;
import dev.weir.agent.transport.Transport;
import io.netty.util.internal.PlatformDependent;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * What the command line asks for.
 *
 * @param xds the control plane
 * @param network the node's, where the mesh has several; empty where networks are not looked at
 * @param nodeAddresses where kubelet probes come from
 * @param workers event loops
 * @param adminSocket of the admin door for users of the machine, null for none
 * @param identity where certificates come from; null for nowhere
 * @param drain how long open connections may go on after SIGTERM where a successor serves
 * @param drainAlone the same where none does
 * @param practice how long at most it calls itself before it takes over from another agent
 * @param nearMicros a tunnel within this time there and back is not paced; 0 for none
 * @param limits what a pod may have, and all of them together
 * @param selfTestOnly try out the kernel and the rooms on throwaway namespaces, then end
 */
record Options(
    String node,
    Path zds,
    LineOptions xds,
    Path cgroup,
    Path bpffs,
    String network,
    List<InetAddress> nodeAddresses,
    String transport,
    int workers,
    @Nullable Path adminSocket,
    String clusterDomain,
    List<InetSocketAddress> dnsUpstream,
    Level logLevel,
    @Nullable IdentityOptions identity,
    Duration drain,
    Duration drainAlone,
    Duration practice,
    int nearMicros,
    Limits limits,
    boolean selfTestOnly) {

  static final String USAGE =
      """
      usage: agent --node NAME --zds SOCKET --xds HOST:PORT --cgroup DIR --bpffs DIR [options]

        --node NAME              the node's name, as the control plane knows it
        --zds SOCKET             where the CNI plugin (or the lab) hands over pods
        --xds HOST:PORT          the control plane, by TLS; with it --xds-root or --ca-root, and --token.
                                 http://HOST:PORT is plaintext to whoever answers, for tests
        --cgroup DIR             cgroup2 folder whose processes are captured
        --bpffs DIR              where maps and links are pinned
        --node-ip A,B            the node's own addresses: probes come from them
        --network NAME           the node's network, where the control plane tells of several: pods of the
                                 others are called by way of the gateways that it names, or not at all
        --transport T            auto (default), io_uring or epoll
        --unpaced-within MICROS  where the node's default congestion control is BBR, tunnels to nodes within this
                                 round trip have reno, which does not pace (default 2000; 0: none)
        --workers N              event loops (default: one a core, and at least 4)
        --admin-socket PATH      serve the admin door on a Unix socket too
        --cluster-domain D       default cluster.local
        --dns-upstream A:P,...   who answers what the mesh does not know (default: /etc/resolv.conf)
        --xds-root FILE          PEM of the roots that the control plane's certificate must lead to; read again when
                                 it changes (default: --ca-root)
        --token FILE             service account token (audience istio-ca), for --xds and --ca; read at each call
        --ca HOST:PORT           the certificate authority; with it --ca-root and --token. Where it is the same as
                                 --xds both share a connection
        --ca-root FILE           PEM of the roots that the CA's own certificate must lead to; read again when it changes
        --cert-ttl SECONDS       life of a certificate to ask for (default 86400)
        --root-check SECONDS     notice a change of the trusted roots within this time (default 300)
        --crl FILE               certificates that are revoked (PEM or DER, signed by who issued them); read again
                                 within seconds when it changes: tunnels of those that it names end, and a
                                 pod of this node that is among them gets another certificate at once
        --log-level L            error, warn, info (default) or debug
        --drain SECONDS          how long open connections may go on after SIGTERM where another
                                 agent has taken over (default 3600). Kubernetes kills the pod after
                                 its terminationGracePeriodSeconds, whatever is said here
        --drain-alone SECONDS    the same where no other agent serves the node (default 5)
        --practice SECONDS       how long at most it calls itself before it takes over from another agent, which serves
                                 meanwhile, so that its code is compiled by then (default 5; 0: not at all)
        --pod-connections N      connections of one pod through the agent at once (default 20000)
        --pod-streams N          streams of one pod in tunnels at once (default 20000)
        --pod-handshakes N       TLS handshakes of one pod a second (default 2000)
        --pod-buffers MIB        bytes held for one pod's slow readers (default 3/4 of --buffers);
                                 above, it loses the connections that hold most
        --buffers MIB            bytes held for all pods (default 5/8 of the JVM's direct memory);
                                 above, the heaviest pod does, and no handshake begins before
        --self-test-only         try the rooms in throwaway namespaces, print what was found, end
        --help                   this text

      example: agent --node node-1 --zds /run/zds.sock --xds 10.0.0.1:15012 --ca 10.0.0.1:15012 \\
                 --ca-root /run/weir/roots.pem --token /run/weir/token \\
                 --cgroup /sys/fs/cgroup --bpffs /sys/fs/bpf/weir
      """;

  private static final int MOST_SECONDS = 86_400;

  /** A self-test has no control plane. */
  private static final String NOWHERE = LineOptions.PLAIN + "127.0.0.1:1";

  // Half of them are at most one pod's; two of them are what two processors can fill.
  private static final int LEAST_WORKERS = 4;

  private static final Path RESOLV_CONF = Path.of("/etc/resolv.conf");

  private static final Set<String> WITH_VALUE =
      Set.of(
          "--node",
          "--zds",
          "--xds",
          "--cgroup",
          "--bpffs",
          "--network",
          "--node-ip",
          "--transport",
          "--unpaced-within",
          "--workers",
          "--admin-socket",
          "--cluster-domain",
          "--dns-upstream",
          "--xds-root",
          "--ca",
          "--ca-root",
          "--token",
          "--cert-ttl",
          "--root-check",
          "--crl",
          "--log-level",
          "--drain",
          "--drain-alone",
          "--practice",
          "--pod-connections",
          "--pod-streams",
          "--pod-handshakes",
          "--pod-buffers",
          "--buffers");
  private static final List<String> NEEDED =
      List.of("--node", "--zds", "--xds", "--cgroup", "--bpffs");

  /** That the command line cannot be followed; the message is for the user. */
  static final class UsageException extends RuntimeException {
    private static final long serialVersionUID = 1;

    UsageException(String message) {
      super(message);
    }
  }

  static Options parse(List<String> arguments, int cores) {
    Map<String, String> given = new HashMap<>();
    boolean selfTestOnly = false;
    for (int i = 0; i < arguments.size(); i++) {
      String argument = arguments.get(i);
      int equals = argument.indexOf('=');
      String name =
          argument.startsWith("--") && equals > 0 ? argument.substring(0, equals) : argument;
      if (name.equals("--self-test-only")) {
        selfTestOnly = true;
        continue;
      }
      if (!WITH_VALUE.contains(name)) {
        throw new UsageException("%s: no such option; --help lists them".formatted(argument));
      }
      String value;
      if (name.length() < argument.length()) {
        value = argument.substring(equals + 1);
      } else if (++i < arguments.size()) {
        value = arguments.get(i);
      } else {
        throw new UsageException("%s: needs a value; --help tells which".formatted(name));
      }
      if (value.isEmpty()) {
        throw new UsageException("%s: needs a value; --help tells which".formatted(name));
      }
      if (given.put(name, value) != null) {
        throw new UsageException("%s: given twice".formatted(name));
      }
    }
    if (!selfTestOnly) {
      List<String> missing = new ArrayList<>(NEEDED);
      missing.removeAll(given.keySet());
      if (!missing.isEmpty()) {
        throw new UsageException(
            "%s: missing; --help shows an example".formatted(String.join(", ", missing)));
      }
    }
    return new Options(
        given.getOrDefault("--node", "self-test"),
        Path.of(given.getOrDefault("--zds", "/nonexistent")),
        xds(given),
        Path.of(given.getOrDefault("--cgroup", "/")),
        Path.of(given.getOrDefault("--bpffs", "/")),
        given.getOrDefault("--network", ""),
        addresses(given.getOrDefault("--node-ip", "")),
        transport(given.getOrDefault("--transport", Transport.AUTO)),
        number(
            "--workers",
            given.getOrDefault("--workers", Integer.toString(Math.max(LEAST_WORKERS, cores))),
            1,
            256),
        given.containsKey("--admin-socket") ? Path.of(given.get("--admin-socket")) : null,
        given.getOrDefault("--cluster-domain", "cluster.local"),
        upstreams(selfTestOnly ? "127.0.0.1:1" : given.get("--dns-upstream")),
        level(given.getOrDefault("--log-level", "info")),
        identity(given),
        seconds("--drain", given.getOrDefault("--drain", "3600")),
        seconds("--drain-alone", given.getOrDefault("--drain-alone", "5")),
        seconds("--practice", given.getOrDefault("--practice", "5")),
        number("--unpaced-within", given.getOrDefault("--unpaced-within", "2000"), 0, 1_000_000),
        limits(given),
        selfTestOnly);
  }

  /** The same, captured elsewhere. */
  Options on(Path otherCgroup, Path otherBpffs) {
    return new Options(
        node,
        zds,
        xds,
        otherCgroup,
        otherBpffs,
        network,
        nodeAddresses,
        transport,
        workers,
        adminSocket,
        clusterDomain,
        dnsUpstream,
        logLevel,
        identity,
        drain,
        drainAlone,
        practice,
        nearMicros,
        limits,
        selfTestOnly);
  }

  private static Limits limits(Map<String, String> given) {
    Limits standard = Limits.standard(PlatformDependent.maxDirectMemory());
    long buffers = mebibytes(given, "--buffers", standard.bufferBytes());
    return new Limits(
        count(given, "--pod-connections", standard.connections()),
        count(given, "--pod-streams", standard.streams()),
        count(given, "--pod-handshakes", standard.handshakes()),
        mebibytes(given, "--pod-buffers", buffers * 3 / 4),
        buffers);
  }

  private static int count(Map<String, String> given, String option, int otherwise) {
    String text = given.get(option);
    return text == null ? otherwise : number(option, text, 1, 10_000_000);
  }

  private static long mebibytes(Map<String, String> given, String option, long otherwise) {
    String text = given.get(option);
    return text == null ? otherwise : (long) number(option, text, 1, 65_536) << 20;
  }

  private static LineOptions xds(Map<String, String> given) {
    String text = given.getOrDefault("--xds", NOWHERE);
    LineOptions line =
        line(() ->
            LineOptions.xds(
                text, given.get("--xds-root"), given.get("--ca-root"), given.get("--token")));
    if (line instanceof LineOptions.Plain && !given.containsKey("--ca")) {
      for (String each : List.of("--ca-root", "--token")) {
        if (given.containsKey(each)) {
          throw new UsageException(
              "%s: needs --ca, or --xds HOST:PORT with TLS; there is neither".formatted(each));
        }
      }
    }
    return line;
  }

  private static LineOptions line(Supplier<LineOptions> parsed) {
    try {
      return parsed.get();
    } catch (IllegalArgumentException e) {
      throw new UsageException(String.valueOf(e.getMessage()));
    }
  }

  private static @Nullable IdentityOptions identity(Map<String, String> given) {
    String authority = given.get("--ca");
    if (authority == null) {
      for (String each : List.of("--cert-ttl", "--root-check", "--crl")) {
        if (given.containsKey(each)) {
          throw new UsageException("%s: needs --ca, which is missing".formatted(each));
        }
      }
      return null;
    }
    String crl = given.get("--crl");
    return new IdentityOptions(
        line(() -> LineOptions.authority(authority, given.get("--ca-root"), given.get("--token"))),
        Duration.ofSeconds(
            number("--cert-ttl", given.getOrDefault("--cert-ttl", "86400"), 10, 31_536_000)),
        Duration.ofSeconds(
            number("--root-check", given.getOrDefault("--root-check", "300"), 1, 86_400)),
        crl == null ? null : Path.of(crl));
  }

  private static Duration seconds(String option, String text) {
    return Duration.ofSeconds(number(option, text, 0, MOST_SECONDS));
  }

  private static String transport(String name) {
    return switch (name) {
      case Transport.AUTO, Transport.EPOLL, Transport.IO_URING -> name;
      default ->
          throw new UsageException(
              "--transport %s: expected auto, io_uring or epoll".formatted(name));
    };
  }

  private static Level level(String word) {
    return Level.parse(word)
        .orElseThrow(() ->
            new UsageException(
                "--log-level %s: expected error, warn, info or debug".formatted(word)));
  }

  private static int number(String option, String text, int least, int most) {
    try {
      int value = Integer.parseInt(text);
      if (value >= least && value <= most) {
        return value;
      }
    } catch (NumberFormatException e) {
      throw new UsageException(
          "%s %s: expected a number from %d to %d".formatted(option, text, least, most));
    }
    throw new UsageException(
        "%s %s: expected a number from %d to %d".formatted(option, text, least, most));
  }

  private static List<InetAddress> addresses(String list) {
    List<InetAddress> addresses = new ArrayList<>();
    for (String each : list.isEmpty() ? List.<String>of() : List.of(list.split(",", -1))) {
      try {
        addresses.add(InetAddress.ofLiteral(each));
      } catch (IllegalArgumentException e) {
        throw new UsageException("--node-ip %s: not an IP address".formatted(each));
      }
    }
    return List.copyOf(addresses);
  }

  private static List<InetSocketAddress> upstreams(@Nullable String given) {
    if (given != null) {
      try {
        return Upstreams.parse(given);
      } catch (IllegalArgumentException e) {
        throw new UsageException("--dns-upstream %s: %s".formatted(given, e.getMessage()));
      }
    }
    try {
      return Upstreams.fromResolvConf(RESOLV_CONF);
    } catch (IOException e) {
      throw new UsageException(
          "%s cannot be read (%s); --dns-upstream A:P names the servers"
              .formatted(RESOLV_CONF, e.getMessage()));
    }
  }
}

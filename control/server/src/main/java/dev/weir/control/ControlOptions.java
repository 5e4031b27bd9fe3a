package dev.weir.control;

import dev.weir.api.model.Workload;
import dev.weir.control.ca.AuthorityFiles;
import dev.weir.control.ca.CaOptions;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The command line.
 *
 * @param listen xDS and certificates by TLS; null where there is no certificate for it
 * @param listenPlain xDS for anybody; null for no such port
 * @param ca null where no certificate authority is wanted
 */
record ControlOptions(
    Path sourceDir,
    @Nullable InetSocketAddress listen,
    @Nullable InetSocketAddress listenPlain,
    @Nullable Path adminSocket,
    String clusterDomain,
    @Nullable CaOptions ca) {
  static final String USAGE =
      """
      usage: control --source-dir DIR (--ca-dir DIR | --ca-secret DIR | --ca-cert FILE --ca-key FILE --ca-root FILE)
                     --token-keys FILE [--listen ADDR:PORT] [--admin-socket PATH] [--cluster-domain DOMAIN] [CA options]
        --source-dir DIR         Kubernetes YAML or JSON to follow: *.yaml, *.yml, *.json
        --listen ADDR:PORT       xDS and certificates for nodes, by TLS 1.3, for callers with a service account
                                 token; default 127.0.0.1:15012, port 0 takes a free one
        --listen-plain ADDR:PORT xDS for anybody, without TLS or token, on a port of its own: for tests and
                                 debugging. Without it there is none; with it alone no CA is needed
        --admin-socket PATH      Unix socket that answers GET /status
        --cluster-domain DOMAIN  default cluster.local

      certificates (one of the first three):
        --ca-dir DIR             a root of Weir's own, made there at first start: ca.crt, ca.key, roots.pem
        --ca-secret DIR          a mounted secret as cert-manager makes it: tls.crt, tls.key, ca.crt
        --ca-cert, --ca-key, --ca-root FILE   what signs (with its issuers), its key, the trusted roots (PEM)
        --tls-name A,B           more names and addresses under which nodes call the TLS port
        --max-cert-ttl TIME      longest life of a certificate, such as 90s, 12h; default 24h
        --token-keys FILE        JWK set or PEM public keys of who signs service account tokens (needed)
        --token-issuer URL       default https://kubernetes.default.svc.cluster.local
        --token-audience NAME    default istio-ca
        --node-accounts NS/SA,.. service accounts of nodes' agents: they alone may follow the mesh, and ask for
                                 the identities of their node's pods; default weir-system/weir-agent
        --trust-domain NAME      default cluster.local

      All files are looked at every second; what no longer fits leaves the former in force. To change roots: add
      the new root to roots.pem, wait until `weir certs` shows it on every node, then put the new ca.key and ca.crt
      in place; take the old root away when the last certificate under it has expired.

      example: control --source-dir /etc/weir/state --listen 0.0.0.0:15012 \\
                 --ca-dir /var/lib/weir/ca --token-keys /etc/weir/jwks.json
      """;

  private static final String DEFAULT_LISTEN = "127.0.0.1:15012";

  private static final Set<String> CA_OPTIONS =
      Set.of(
          "--ca-dir",
          "--ca-secret",
          "--ca-cert",
          "--ca-key",
          "--ca-root",
          "--tls-name",
          "--max-cert-ttl",
          "--token-keys",
          "--token-issuer",
          "--token-audience",
          "--node-accounts",
          "--trust-domain");

  /** A command line that cannot be meant. */
  static final class UsageException extends RuntimeException {
    UsageException(String message) {
      super(message);
    }
  }

  static ControlOptions parse(String... args) {
    Path sourceDir = null;
    InetSocketAddress listen = null;
    InetSocketAddress listenPlain = null;
    Path adminSocket = null;
    String clusterDomain = "cluster.local";
    Map<String, String> ca = new HashMap<>();
    for (int i = 0; i < args.length; i++) {
      String name = args[i];
      String value = null;
      int equals = name.indexOf('=');
      if (name.startsWith("--") && equals > 0) {
        value = name.substring(equals + 1);
        name = name.substring(0, equals);
      } else if (i + 1 < args.length) {
        value = args[i + 1];
        i++;
      }
      switch (name) {
        case "--source-dir" -> sourceDir = Path.of(given(name, value));
        case "--listen" -> listen = address(name, given(name, value));
        case "--listen-plain" -> listenPlain = address(name, given(name, value));
        case "--admin-socket" -> adminSocket = Path.of(given(name, value));
        case "--cluster-domain" -> clusterDomain = given(name, value);
        default -> {
          if (!CA_OPTIONS.contains(name)) {
            throw new UsageException("unknown option " + name + "; see --help");
          }
          ca.put(name, given(name, value));
        }
      }
    }
    if (sourceDir == null) {
      throw new UsageException("--source-dir is missing; see --help");
    }
    if (ca.isEmpty()) {
      if (listen != null) {
        throw new UsageException(
            "--listen is a TLS port, which needs a certificate: give one of --ca-dir, --ca-secret, or"
                + " --ca-cert with --ca-key and --ca-root; see --help");
      }
      if (listenPlain == null) {
        throw new UsageException(
            "nodes could call nothing: give one of --ca-dir, --ca-secret, or --ca-cert with --ca-key"
                + " and --ca-root for the TLS port, or --listen-plain for tests; see --help");
      }
      return new ControlOptions(sourceDir, null, listenPlain, adminSocket, clusterDomain, null);
    }
    InetSocketAddress tls = listen == null ? address("--listen", DEFAULT_LISTEN) : listen;
    if (tls.equals(listenPlain) && tls.getPort() != 0) {
      throw new UsageException("--listen-plain: --listen has that port; give another one");
    }
    return new ControlOptions(
        sourceDir, tls, listenPlain, adminSocket, clusterDomain, ca(ca, tls.getAddress()));
  }

  private static CaOptions ca(Map<String, String> given, InetAddress listen) {
    if (!given.containsKey("--token-keys")) {
      throw new UsageException(
          "--token-keys is missing: without it no caller can be known; see --help");
    }
    List<String> names =
        new ArrayList<>(
            List.of(
                "localhost",
                "127.0.0.1",
                "::1",
                "weir-control",
                "weir-control.weir-system",
                "weir-control.weir-system.svc",
                "weir-control.weir-system.svc.cluster.local"));
    if (!listen.isAnyLocalAddress()) {
      names.add(listen.getHostAddress());
    }
    names.addAll(list(given.getOrDefault("--tls-name", "")));
    List<String> accounts = list(given.getOrDefault("--node-accounts", "weir-system/weir-agent"));
    for (String account : accounts) {
      if (!account.matches("[^/]+/[^/]+")) {
        throw new UsageException(
            "--node-accounts has '" + account + "' (expected: NAMESPACE/NAME)");
      }
    }
    return new CaOptions(
        files(given),
        duration("--max-cert-ttl", given.getOrDefault("--max-cert-ttl", "24h")),
        names.stream().distinct().toList(),
        Path.of(given.get("--token-keys")),
        given.getOrDefault("--token-issuer", "https://kubernetes.default.svc.cluster.local"),
        given.getOrDefault("--token-audience", "istio-ca"),
        Set.copyOf(accounts),
        given.getOrDefault("--trust-domain", Workload.DEFAULT_TRUST_DOMAIN));
  }

  private static AuthorityFiles files(Map<String, String> given) {
    boolean three =
        given.containsKey("--ca-cert")
            || given.containsKey("--ca-key")
            || given.containsKey("--ca-root");
    int ways =
        (given.containsKey("--ca-dir") ? 1 : 0)
            + (given.containsKey("--ca-secret") ? 1 : 0)
            + (three ? 1 : 0);
    if (ways != 1) {
      throw new UsageException(
          "give one of --ca-dir, --ca-secret, or --ca-cert with --ca-key and --ca-root");
    }
    if (given.containsKey("--ca-dir")) {
      return AuthorityFiles.ownIn(Path.of(given.get("--ca-dir")));
    }
    if (given.containsKey("--ca-secret")) {
      return AuthorityFiles.secretIn(Path.of(given.get("--ca-secret")));
    }
    for (String each : List.of("--ca-cert", "--ca-key", "--ca-root")) {
      if (!given.containsKey(each)) {
        throw new UsageException(
            each + " is missing; --ca-cert, --ca-key and --ca-root go together");
      }
    }
    return AuthorityFiles.given(
        Path.of(given.get("--ca-cert")),
        Path.of(given.get("--ca-key")),
        Path.of(given.get("--ca-root")));
  }

  private static List<String> list(String text) {
    return text.isEmpty() ? List.of() : List.of(text.split(",", -1));
  }

  private static Duration duration(String option, String text) {
    if (text.matches("[1-9][0-9]{0,8}[smh]")) {
      long count = Long.parseLong(text.substring(0, text.length() - 1));
      return switch (text.charAt(text.length() - 1)) {
        case 's' -> Duration.ofSeconds(count);
        case 'm' -> Duration.ofMinutes(count);
        default -> Duration.ofHours(count);
      };
    }
    throw new UsageException(option + " is '" + text + "' (expected: a time such as 90s or 12h)");
  }

  private static String given(String name, @Nullable String value) {
    if (value == null || value.isEmpty()) {
      throw new UsageException(name + " needs a value; see --help");
    }
    return value;
  }

  private static InetSocketAddress address(String option, String text) {
    int colon = text.lastIndexOf(':');
    String port = text.substring(colon + 1);
    if (colon <= 0
        || port.isEmpty()
        || port.length() > 5
        || !port.chars().allMatch(c -> c >= '0' && c <= '9')
        || Integer.parseInt(port) > 65535) {
      throw new UsageException(
          option + " is '" + text + "' (expected: ADDR:PORT such as 0.0.0.0:15012 or [::]:15012)");
    }
    String host = text.substring(0, colon);
    if (host.startsWith("[") && host.endsWith("]")) {
      host = host.substring(1, host.length() - 1);
    }
    InetSocketAddress address = new InetSocketAddress(host, Integer.parseInt(port));
    if (address.isUnresolved()) {
      throw new UsageException(option + ": there is no host '" + host + "'; give an address");
    }
    return address;
  }
}

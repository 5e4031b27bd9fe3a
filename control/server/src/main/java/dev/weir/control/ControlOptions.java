package dev.weir.control;

import java.net.InetSocketAddress;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/** The command line. */
record ControlOptions(
    Path sourceDir, InetSocketAddress listen, @Nullable Path adminSocket, String clusterDomain) {
  static final String USAGE =
      """
      usage: control --source-dir DIR [--listen ADDR:PORT] [--admin-socket PATH] [--cluster-domain DOMAIN]
        --source-dir DIR         Kubernetes YAML or JSON to follow: *.yaml, *.yml, *.json
        --listen ADDR:PORT       xDS for nodes; default 127.0.0.1:15010, port 0 takes a free one
        --admin-socket PATH      Unix socket that answers GET /status
        --cluster-domain DOMAIN  default cluster.local
      example: control --source-dir /etc/weir/state --listen 0.0.0.0:15010
      """;

  /** A command line that cannot be meant. */
  static final class UsageException extends RuntimeException {
    UsageException(String message) {
      super(message);
    }
  }

  static ControlOptions parse(String... args) {
    Path sourceDir = null;
    InetSocketAddress listen = address("127.0.0.1:15010");
    Path adminSocket = null;
    String clusterDomain = "cluster.local";
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
        case "--listen" -> listen = address(given(name, value));
        case "--admin-socket" -> adminSocket = Path.of(given(name, value));
        case "--cluster-domain" -> clusterDomain = given(name, value);
        default -> throw new UsageException("unknown option " + name + "; see --help");
      }
    }
    if (sourceDir == null) {
      throw new UsageException("--source-dir is missing; see --help");
    }
    return new ControlOptions(sourceDir, listen, adminSocket, clusterDomain);
  }

  private static String given(String name, @Nullable String value) {
    if (value == null || value.isEmpty()) {
      throw new UsageException(name + " needs a value; see --help");
    }
    return value;
  }

  private static InetSocketAddress address(String text) {
    int colon = text.lastIndexOf(':');
    String port = text.substring(colon + 1);
    if (colon <= 0
        || port.isEmpty()
        || port.length() > 5
        || !port.chars().allMatch(c -> c >= '0' && c <= '9')
        || Integer.parseInt(port) > 65535) {
      throw new UsageException(
          "--listen is '" + text + "' (expected: ADDR:PORT such as 0.0.0.0:15010 or [::]:15010)");
    }
    String host = text.substring(0, colon);
    if (host.startsWith("[") && host.endsWith("]")) {
      host = host.substring(1, host.length() - 1);
    }
    InetSocketAddress address = new InetSocketAddress(host, Integer.parseInt(port));
    if (address.isUnresolved()) {
      throw new UsageException("--listen: there is no host '" + host + "'; give an address");
    }
    return address;
  }
}

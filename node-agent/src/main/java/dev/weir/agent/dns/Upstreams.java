package dev.weir.agent.dns;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Where the servers stand to which DNS is forwarded. */
public final class Upstreams {
  private static final int DNS_PORT = 53;

  /** resolv.conf(5): MAXNS. */
  private static final int MOST = 3;

  private Upstreams() {}

  /**
   * {@code 10.96.0.10:53,[fd00::a]:53}; the port may be left out. Fails with the part that is no
   * address.
   */
  public static List<InetSocketAddress> parse(String text) {
    List<InetSocketAddress> servers = new ArrayList<>();
    for (String part : text.split(",", -1)) {
      servers.add(one(part.strip()));
    }
    return servers;
  }

  /**
   * The nameservers of a resolv.conf; lines that cannot be read are passed over, as the C library
   * does.
   */
  public static List<InetSocketAddress> fromResolvConf(Path file) throws IOException {
    List<InetSocketAddress> servers = new ArrayList<>();
    for (String line : Files.readAllLines(file)) {
      String[] words = line.strip().split("\\s+", -1);
      if (words.length >= 2 && words[0].equals("nameserver") && servers.size() < MOST) {
        literal(words[1])
            .ifPresent(address -> servers.add(new InetSocketAddress(address, DNS_PORT)));
      }
    }
    return servers;
  }

  private static Optional<InetAddress> literal(String text) {
    try {
      return Optional.of(InetAddress.ofLiteral(text));
    } catch (IllegalArgumentException e) {
      return Optional.empty();
    }
  }

  private static InetSocketAddress one(String text) {
    try {
      boolean bracketed = text.startsWith("[");
      int colon = text.lastIndexOf(':');
      boolean port =
          bracketed ? colon > text.indexOf(']') : colon >= 0 && text.indexOf(':') == colon;
      String host = port ? text.substring(0, colon) : text;
      if (bracketed) {
        host = host.substring(1, host.indexOf(']'));
      }
      int number = port ? Integer.parseInt(text.substring(colon + 1)) : DNS_PORT;
      return new InetSocketAddress(InetAddress.ofLiteral(host), number);
    } catch (IllegalArgumentException | StringIndexOutOfBoundsException e) {
      throw new IllegalArgumentException(
          "DNS upstream: '"
              + text
              + "' (expected: address:port such as 10.96.0.10:53 or [fd00::a]:53)",
          e);
    }
  }
}

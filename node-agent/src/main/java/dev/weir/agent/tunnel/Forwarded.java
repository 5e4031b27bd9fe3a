package dev.weir.agent.tunnel;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import org.jspecify.annotations.Nullable;

/**
 * For whom a tunnel was opened (RFC 7239, of which HBONE uses {@code for} and {@code host}). The
 * client says so; it is for telemetry, never for authorisation.
 *
 * @param host the name that the client asked for, if known
 */
record Forwarded(InetSocketAddress client, @Nullable String host) {
  private static final int LONGEST = 512;

  /** What the text says, or null where it says nothing that we can use. */
  static @Nullable Forwarded parse(CharSequence given) {
    if (given.length() > LONGEST) {
      return null;
    }
    InetSocketAddress client = null;
    String host = null;
    for (String part : given.toString().split(";", -1)) {
      int equals = part.indexOf('=');
      if (equals < 0) {
        return null;
      }
      String name = part.substring(0, equals).strip();
      String value = unquoted(part.substring(equals + 1).strip());
      if (name.equalsIgnoreCase("for")) {
        Authority authority = Authority.parse(value);
        InetAddress ip = authority == null ? null : authority.ip();
        if (authority == null || ip == null || client != null) {
          return null;
        }
        client = new InetSocketAddress(ip, authority.port());
      } else if (name.equalsIgnoreCase("host") && Authority.isName(value)) {
        host = value;
      }
    }
    return client == null ? null : new Forwarded(client, host);
  }

  private static String unquoted(String value) {
    int last = value.length() - 1;
    return last > 0 && value.charAt(0) == '"' && value.charAt(last) == '"'
        ? value.substring(1, last)
        : value;
  }

  /** As it stands in the header; an IPv6 address is bracketed. */
  @Override
  public String toString() {
    String text = "for=\"" + Authority.of(client.getAddress(), client.getPort()) + '"';
    return host == null ? text : text + ";host=" + host;
  }
}

package dev.weir.agent.tunnel;

import io.netty.util.NetUtil;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * Where a tunnel goes: {@code ip:port}, {@code [v6]:port} or {@code host.name:port}. There is one
 * way to write each, so that what was authorised is what is connected to: no leading zeros, no
 * zones, no IPv4 in IPv6's clothes, no names that look like numbers. Nothing here asks DNS.
 *
 * @param host the name in lower case, or the address as text without brackets
 * @param ip the address, if it is one
 */
public record Authority(String host, @Nullable InetAddress ip, int port) {
  private static final int LONGEST_NAME = 253;
  private static final int LONGEST_LABEL = 63;

  static Authority of(InetAddress ip, int port) {
    return new Authority(NetUtil.toAddressString(ip), ip, port);
  }

  static Authority of(String name, int port) {
    return new Authority(name.toLowerCase(Locale.ROOT), null, port);
  }

  /** The authority, or null where the text is not exactly one. */
  static @Nullable Authority parse(CharSequence given) {
    String text = given.toString();
    int colon = text.lastIndexOf(':');
    if (colon <= 0 || colon > LONGEST_NAME) {
      return null;
    }
    int port = port(text, colon + 1);
    if (port <= 0) {
      return null;
    }
    String host = text.substring(0, colon);
    if (host.charAt(0) == '[') {
      if (host.charAt(host.length() - 1) != ']') {
        return null;
      }
      String bare = host.substring(1, host.length() - 1);
      return bare.indexOf('%') < 0 && bare.indexOf('[') < 0 && NetUtil.isValidIpV6Address(bare)
          ? address(bare, port)
          : null;
    }
    if (NetUtil.isValidIpV4Address(host)) {
      return address(host, port);
    }
    return isName(host) ? new Authority(host.toLowerCase(Locale.ROOT), null, port) : null;
  }

  private static @Nullable Authority address(String text, int port) {
    byte[] bytes = NetUtil.createByteArrayFromIpAddressString(text);
    if (bytes == null) {
      return null;
    }
    InetAddress ip;
    try {
      ip = InetAddress.getByAddress(bytes);
    } catch (UnknownHostException e) {
      return null;
    }
    if (ip instanceof Inet4Address && !ip.getHostAddress().equals(text)) {
      // Leading zeros, which some read as octal, or an IPv4 address written as IPv6.
      return null;
    }
    return of(ip, port);
  }

  /** The port that begins at an index and ends with the text, or -1. */
  private static int port(String text, int from) {
    int digits = text.length() - from;
    if (digits < 1 || digits > 5 || text.charAt(from) == '0') {
      return -1;
    }
    int port = 0;
    for (int i = from; i < text.length(); i++) {
      int digit = text.charAt(i) - '0';
      if (digit < 0 || digit > 9) {
        return -1;
      }
      port = port * 10 + digit;
    }
    return port <= 0xffff ? port : -1;
  }

  /** RFC 1123, and a last label that is not a number, so that no name can pass for an address. */
  static boolean isName(String text) {
    if (text.isEmpty() || text.length() > LONGEST_NAME) {
      return false;
    }
    int labelStart = 0;
    boolean letters = false;
    for (int i = 0; i <= text.length(); i++) {
      char c = i < text.length() ? text.charAt(i) : '.';
      if (c == '.') {
        int length = i - labelStart;
        if (length < 1
            || length > LONGEST_LABEL
            || text.charAt(labelStart) == '-'
            || text.charAt(i - 1) == '-') {
          return false;
        }
        labelStart = i + 1;
        if (i < text.length()) {
          letters = false;
        }
      } else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-') {
        letters = true;
      } else if (c < '0' || c > '9') {
        return false;
      }
    }
    return letters;
  }

  /** As it stands in {@code :authority}. */
  @Override
  public String toString() {
    return host.indexOf(':') >= 0 ? '[' + host + "]:" + port : host + ':' + port;
  }
}

package dev.weir.api.dns;

import java.net.InetAddress;
import java.net.UnknownHostException;
import org.jspecify.annotations.Nullable;

/**
 * Addresses as names: {@code in-addr.arpa} (RFC 1035 §3.5) and {@code ip6.arpa} (RFC 3596 §2.5).
 */
final class ReverseName {
  private static final String V4 = ".in-addr.arpa";
  private static final String V6 = ".ip6.arpa";

  private ReverseName() {}

  /** The address that a name stands for, or null where it is not a whole address. */
  static @Nullable InetAddress address(String name) {
    byte[] bytes =
        name.endsWith(V4)
            ? v4(name.substring(0, name.length() - V4.length()))
            : name.endsWith(V6) ? v6(name.substring(0, name.length() - V6.length())) : null;
    if (bytes == null) {
      return null;
    }
    try {
      return InetAddress.getByAddress(bytes);
    } catch (UnknownHostException e) {
      throw new IllegalStateException("4 or 16 bytes are an address", e);
    }
  }

  private static byte @Nullable [] v4(String labels) {
    byte[] address = new byte[4];
    int index = 3;
    int value = -1;
    for (int i = 0; i <= labels.length(); i++) {
      char c = i == labels.length() ? '.' : labels.charAt(i);
      if (c == '.') {
        if (value < 0 || index < 0) {
          return null;
        }
        address[index--] = (byte) value;
        value = -1;
      } else if (c >= '0' && c <= '9' && value != 0 && (value < 0 || value * 10 + c - '0' <= 255)) {
        value = Math.max(value, 0) * 10 + c - '0';
      } else {
        return null;
      }
    }
    return index == -1 ? address : null;
  }

  private static byte @Nullable [] v6(String labels) {
    if (labels.length() != 63) {
      return null;
    }
    byte[] address = new byte[16];
    for (int i = 0; i < 32; i++) {
      int digit = Character.digit(labels.charAt(2 * i), 16);
      if (digit < 0 || (i < 31 && labels.charAt(2 * i + 1) != '.')) {
        return null;
      }
      address[15 - i / 2] |= (byte) (digit << (i % 2 * 4));
    }
    return address;
  }
}

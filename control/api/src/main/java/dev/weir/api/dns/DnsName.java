package dev.weir.api.dns;

import java.util.Locale;

/** Domain names as text: lower case, no trailing dot. */
public final class DnsName {
  private DnsName() {}

  /**
   * A name from configuration as it stands in messages. Fails on what cannot be written in a
   * message: an empty or a too long label, more than 255 bytes, characters outside of ASCII.
   */
  public static String of(String text) {
    String name = text.endsWith(".") ? text.substring(0, text.length() - 1) : text;
    name = name.toLowerCase(Locale.ROOT);
    if (!isValid(name)) {
      throw new IllegalArgumentException(
          "DNS name: '" + text + "' (expected: labels of 1 to 63 ASCII characters, 253 in all)");
    }
    return name;
  }

  /** Whether a name without trailing dot can be written in a message. */
  public static boolean isValid(String name) {
    if (name.isEmpty() || name.length() > Dns.MAX_NAME_BYTES - 2) {
      return false;
    }
    int label = 0;
    for (int i = 0; i < name.length(); i++) {
      char c = name.charAt(i);
      if (c == '.') {
        if (label == 0) {
          return false;
        }
        label = 0;
      } else if (c <= ' ' || c >= 127 || c == '\\' || ++label > Dns.MAX_LABEL_BYTES) {
        return false;
      }
    }
    return label > 0;
  }
}

package dev.weir.api.model;

import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.regex.Pattern;

/** An address block. The bits beyond the prefix are cleared, so equal blocks are equal records. */
public record Cidr(InetAddress address, int prefixBits) {
  private static final Pattern QUAD = Pattern.compile("\\d{1,3}(\\.\\d{1,3}){3}");

  public Cidr {
    byte[] bytes = address.getAddress();
    if (prefixBits < 0 || prefixBits > bytes.length * 8) {
      throw new IllegalArgumentException(
          "prefix /" + prefixBits + " (expected: /0 to /" + bytes.length * 8 + ")");
    }
    for (int bit = prefixBits; bit < bytes.length * 8; bit++) {
      bytes[bit / 8] &= (byte) ~(0x80 >> (bit % 8));
    }
    address = fromBytes(bytes);
  }

  /** Reads {@code 10.0.0.0/8}, {@code fd00::/8}, or an address alone, which is a block of one. */
  public static Cidr parse(String text) {
    int slash = text.indexOf('/');
    InetAddress address;
    try {
      address = literal(slash < 0 ? text : text.substring(0, slash));
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException(
          "'" + text + "' is not an address block such as 10.0.0.0/8 or fd00::/8", e);
    }
    int length = address.getAddress().length * 8;
    if (slash < 0) {
      return new Cidr(address, length);
    }
    String prefix = text.substring(slash + 1);
    if (prefix.isEmpty()
        || prefix.length() > 3
        || !prefix.chars().allMatch(c -> c >= '0' && c <= '9')
        || Integer.parseInt(prefix) > length) {
      throw new IllegalArgumentException(
          "'" + text + "' has no prefix from /0 to /" + length + " after its address");
    }
    return new Cidr(address, Integer.parseInt(prefix));
  }

  /**
   * Reads an address without asking any name server, and without C's short forms such as {@code
   * 10.1}.
   */
  public static InetAddress literal(String text) {
    boolean v6 = text.indexOf(':') >= 0;
    if (v6 ? text.indexOf('%') >= 0 || text.indexOf('[') >= 0 : !QUAD.matcher(text).matches()) {
      throw new IllegalArgumentException("'" + text + "' is not an IP address");
    }
    try {
      return InetAddress.ofLiteral(text);
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException("'" + text + "' is not an IP address", e);
    }
  }

  public boolean contains(InetAddress other) {
    byte[] block = address.getAddress();
    byte[] bytes = other.getAddress();
    if (block.length != bytes.length) {
      return false;
    }
    for (int bit = 0; bit < prefixBits; bit++) {
      if (((block[bit / 8] ^ bytes[bit / 8]) & (0x80 >> (bit % 8))) != 0) {
        return false;
      }
    }
    return true;
  }

  @Override
  public String toString() {
    return address.getHostAddress() + "/" + prefixBits;
  }

  private static InetAddress fromBytes(byte[] bytes) {
    try {
      return InetAddress.getByAddress(bytes);
    } catch (UnknownHostException e) {
      throw new IllegalArgumentException(
          "address of " + bytes.length + " bytes (expected: 4 or 16)", e);
    }
  }
}

package dev.weir.agent.capture;

import java.net.InetAddress;

/** A block of addresses. */
public record Cidr(InetAddress address, int prefixLength) {
  public Cidr {
    int bits = address.getAddress().length * 8;
    if (prefixLength < 0 || prefixLength > bits) {
      throw new IllegalArgumentException(
          "prefix length of %s: %d (expected: 0 to %d)"
              .formatted(address.getHostAddress(), prefixLength, bits));
    }
  }

  /** {@code 10.0.0.0/8}, {@code fd00::/8}; an address alone is a block of one. Never asks DNS. */
  public static Cidr parse(String text) {
    int slash = text.indexOf('/');
    String host = slash < 0 ? text : text.substring(0, slash);
    InetAddress address;
    try {
      address = InetAddress.ofLiteral(host);
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException(
          "CIDR: %s (expected: address/length such as 10.0.0.0/8 or fd00::/8)".formatted(text), e);
    }
    int length = address.getAddress().length * 8;
    if (slash >= 0) {
      try {
        length = Integer.parseInt(text.substring(slash + 1));
      } catch (NumberFormatException e) {
        throw new IllegalArgumentException(
            "CIDR: %s (expected: a prefix length after the slash)".formatted(text), e);
      }
    }
    return new Cidr(address, length);
  }
}

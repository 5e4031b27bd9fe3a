package dev.weir.lab;

import java.net.InetAddress;

/**
 * Who has which address. Every lab uses the same ones: its fabric is a namespace of its own, so
 * labs cannot meet.
 */
final class Addressing {
  /** Cluster DNS, where kubeadm puts it. */
  static final InetAddress DNS = of("10.96.0.10");

  static final String CONTROL_V4 = "10.243.255.254";
  static final String CONTROL_V6 = "fd00:243::fffe";

  /** Of xDS and certificates, by TLS; there is no plain one. */
  static final int CONTROL_PORT = 15012;

  /** N stands in an octet of 10.244.N.x. */
  static final int MAX_NODES = 250;

  /** x of 10.244.N.x: 1 is the gateway, 255 would be a broadcast address elsewhere. */
  static final int FIRST_POD = 2;

  static final int LAST_POD = 254;

  /** 10.96.1.1 and up, so that what users give by hand at the range's lower end stays free. */
  static final int FIRST_SERVICE = 0x101;

  static final int LAST_SERVICE = 0xfffe;

  private Addressing() {}

  static String nodeV4(int node) {
    return "10.243.0." + node;
  }

  static String nodeV6(int node) {
    return "fd00:243::" + Integer.toHexString(node);
  }

  static String podV4(int node, int pod) {
    return "10.244." + node + "." + pod;
  }

  /** As LAB.md writes it, {@code fd00:244:N::x}, with x in hexadecimal as addresses are. */
  static String podV6(int node, int pod) {
    return "fd00:244:" + Integer.toHexString(node) + "::" + Integer.toHexString(pod);
  }

  static String podsV4(int node) {
    return "10.244." + node + ".0/24";
  }

  static String podsV6(int node) {
    return "fd00:244:" + Integer.toHexString(node) + "::/64";
  }

  static InetAddress serviceV4(int number) {
    return of("10.96." + (number >> 8) + "." + (number & 0xff));
  }

  static InetAddress serviceV6(int number) {
    return of("fd00:96::" + Integer.toHexString(number));
  }

  /** A literal; never asks a resolver. */
  static InetAddress of(String literal) {
    try {
      return InetAddress.ofLiteral(literal);
    } catch (IllegalArgumentException e) {
      throw new LabException("address '" + literal + "' (expected: IPv4 or IPv6 in digits)", e);
    }
  }
}

package dev.weir.api.dns;

import java.net.Inet4Address;
import java.net.InetAddress;

/** Resource records that Weir writes, and reads where it follows a CNAME. */
public sealed interface DnsRecord {
  String name();

  int ttlSeconds();

  int type();

  /** A or AAAA by the family of the address. */
  record Address(String name, int ttlSeconds, InetAddress address) implements DnsRecord {
    @Override
    public int type() {
      return address instanceof Inet4Address ? Dns.A : Dns.AAAA;
    }
  }

  record Alias(String name, int ttlSeconds, String target) implements DnsRecord {
    @Override
    public int type() {
      return Dns.CNAME;
    }
  }

  record Server(String name, int ttlSeconds, int priority, int weight, int port, String target)
      implements DnsRecord {
    @Override
    public int type() {
      return Dns.SRV;
    }
  }

  record Pointer(String name, int ttlSeconds, String target) implements DnsRecord {
    @Override
    public int type() {
      return Dns.PTR;
    }
  }

  /**
   * Start of authority; {@code minimumSeconds} is how long an absence may be remembered (RFC 2308).
   */
  record Authority(
      String name, int ttlSeconds, String server, String mailbox, long serial, int minimumSeconds)
      implements DnsRecord {
    @Override
    public int type() {
      return Dns.SOA;
    }
  }
}

package dev.weir.api.dns;

import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What an upstream server said, as far as it is read: enough to match it to its query and to follow
 * a CNAME.
 */
public record DnsReply(int id, int flags, @Nullable DnsQuestion question, List<DnsRecord> answers) {

  public int rcode() {
    return flags & 0xf;
  }

  public boolean truncated() {
    return (flags & Dns.FLAG_TRUNCATED) != 0;
  }

  /**
   * Reads header and question only: what forwarding needs. Fails where the message is no response.
   */
  public static DnsReply head(byte[] message) throws DnsException {
    return read(message, false);
  }

  /** Reads the answer section too; records of types that Weir does not write are skipped. */
  public static DnsReply parse(byte[] message) throws DnsException {
    return read(message, true);
  }

  private static DnsReply read(byte[] message, boolean records) throws DnsException {
    WireReader in = new WireReader(message, message.length);
    int id = in.u16();
    int flags = in.u16();
    if ((flags & Dns.FLAG_RESPONSE) == 0) {
      throw new DnsException("a query where a response was expected");
    }
    int questions = in.u16();
    int count = in.u16();
    in.skip(4);
    if (questions > 1) {
      throw new DnsException("QDCOUNT: " + questions + " (expected: 0 or 1)");
    }
    DnsQuestion question = questions == 1 ? new DnsQuestion(in.name(), in.u16(), in.u16()) : null;
    if (!records) {
      return new DnsReply(id, flags, question, List.of());
    }
    List<DnsRecord> answers = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      DnsRecord record = record(in);
      if (record != null) {
        answers.add(record);
      }
    }
    return new DnsReply(id, flags, question, answers);
  }

  private static @Nullable DnsRecord record(WireReader in) throws DnsException {
    String name = in.name();
    int type = in.u16();
    int dnsClass = in.u16();
    // RFC 2181 §8: a TTL with the top bit set counts as zero.
    int ttl = Math.max(0, (int) in.u32());
    int length = in.u16();
    int end = in.position() + length;
    if (in.remaining() < length) {
      throw new DnsException(
          "record data at "
              + in.position()
              + ": "
              + length
              + " bytes (expected: at most "
              + in.remaining()
              + ")");
    }
    if (dnsClass != Dns.CLASS_IN) {
      in.seek(end);
      return null;
    }
    DnsRecord record =
        switch (type) {
          case Dns.A, Dns.AAAA -> {
            int expected = type == Dns.A ? 4 : 16;
            if (length != expected) {
              throw new DnsException("address bytes: " + length + " (expected: " + expected + ")");
            }
            InetAddress address = address(in.bytes(length));
            // Java reads ::ffff:a.b.c.d as IPv4: an AAAA of that kind would turn into an A.
            if ((address instanceof Inet4Address) != (type == Dns.A)) {
              yield null;
            }
            yield new DnsRecord.Address(name, ttl, address);
          }
          case Dns.CNAME -> new DnsRecord.Alias(name, ttl, in.name());
          case Dns.PTR -> new DnsRecord.Pointer(name, ttl, in.name());
          case Dns.SRV -> new DnsRecord.Server(name, ttl, in.u16(), in.u16(), in.u16(), in.name());
          default -> null;
        };
    if (record == null) {
      in.seek(end);
    } else if (in.position() != end) {
      throw new DnsException("record data ends at " + in.position() + " (expected: " + end + ")");
    }
    return record;
  }

  private static InetAddress address(byte[] bytes) {
    try {
      return InetAddress.getByAddress(bytes);
    } catch (UnknownHostException e) {
      throw new IllegalStateException("4 or 16 bytes are an address", e);
    }
  }
}

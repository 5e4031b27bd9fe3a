package dev.weir.api.dns;

/**
 * A query with one question, as far as an answer needs it. The message's own bytes are kept: the
 * question is echoed bit by bit (a resolver may randomise case and compare), and a forwarded query
 * goes out as it came but for its ID.
 */
public final class DnsQuery {
  private final int id;
  private final int flags;
  private final DnsQuestion question;
  private final int questionEnd;
  private final boolean edns;
  private final int udpBytes;
  private final int udpBytesAt;
  private final byte[] message;

  private DnsQuery(
      int id,
      int flags,
      DnsQuestion question,
      int questionEnd,
      boolean edns,
      int udpBytes,
      int udpBytesAt,
      byte[] message) {
    this.id = id;
    this.flags = flags;
    this.question = question;
    this.questionEnd = questionEnd;
    this.edns = edns;
    this.udpBytes = udpBytes;
    this.udpBytesAt = udpBytesAt;
    this.message = message;
  }

  /** What a first look at a datagram or frame may find. */
  public sealed interface Parsed permits Query, Malformed, Ignored {}

  public record Query(DnsQuery query) implements Parsed {}

  /** Broken, but with an ID to answer to. */
  public record Malformed(int id, int flags, int rcode, String reason) implements Parsed {
    /** A header alone, so no longer than what came. */
    public byte[] answer() {
      WireWriter out = new WireWriter();
      out.u16(id);
      out.u16(Dns.FLAG_RESPONSE | (flags & 0x7800) | (flags & Dns.FLAG_RECURSION_DESIRED) | rcode);
      out.put(new byte[8]);
      return out.toBytes();
    }
  }

  /**
   * Not to be answered at all: shorter than a header, or itself a response (answering those makes
   * loops).
   */
  public record Ignored(String reason) implements Parsed {}

  public int id() {
    return id;
  }

  public DnsQuestion question() {
    return question;
  }

  /**
   * The message as it came, under another ID: what a forwarder sends. It asks for no longer answer
   * over UDP than the forwarder can take.
   */
  public byte[] forwarded(int otherId, int mostUdpBytes) {
    byte[] copy = message.clone();
    copy[0] = (byte) (otherId >> 8);
    copy[1] = (byte) otherId;
    if (edns && udpBytes > mostUdpBytes) {
      copy[udpBytesAt] = (byte) (mostUdpBytes >> 8);
      copy[udpBytesAt + 1] = (byte) mostUdpBytes;
    }
    return copy;
  }

  /** A query of our own: recursive, with EDNS0. */
  public static byte[] encode(int id, DnsQuestion question) {
    WireWriter out = new WireWriter();
    out.u16(id);
    out.u16(Dns.FLAG_RECURSION_DESIRED);
    out.u16(1);
    out.put(new byte[5]);
    out.u8(1);
    out.name(question.name(), false);
    out.u16(question.type());
    out.u16(question.dnsClass());
    out.u8(0);
    out.u16(Dns.OPT);
    out.u16(Dns.MAX_UDP_BYTES);
    out.u32(0);
    out.u16(0);
    return out.toBytes();
  }

  int flags() {
    return flags;
  }

  boolean edns() {
    return edns;
  }

  int questionEnd() {
    return questionEnd;
  }

  byte[] message() {
    return message;
  }

  /**
   * The bytes that an answer over UDP may have: what EDNS0 says, but 512 at least and {@code most}
   * at most.
   */
  public int udpLimit(int most) {
    return edns ? Math.clamp(udpBytes, Dns.PLAIN_UDP_BYTES, most) : Dns.PLAIN_UDP_BYTES;
  }

  public static Parsed parse(byte[] message) {
    if (message.length < Dns.HEADER_BYTES) {
      return new Ignored("length: " + message.length + " (expected: at least 12)");
    }
    WireReader in = new WireReader(message, message.length);
    try {
      int id = in.u16();
      int flags = in.u16();
      if ((flags & Dns.FLAG_RESPONSE) != 0) {
        return new Ignored("a response where a query was expected");
      }
      int opcode = flags >> 11 & 0xf;
      if (opcode != 0) {
        return new Malformed(id, flags, Dns.NOTIMP, "opcode: " + opcode + " (expected: 0)");
      }
      try {
        return new Query(body(in, id, flags, message));
      } catch (DnsException e) {
        return new Malformed(id, flags, Dns.FORMERR, String.valueOf(e.getMessage()));
      }
    } catch (DnsException e) {
      return new Ignored(String.valueOf(e.getMessage()));
    }
  }

  private static DnsQuery body(WireReader in, int id, int flags, byte[] message)
      throws DnsException {
    int questions = in.u16();
    int answers = in.u16();
    int authorities = in.u16();
    int additionals = in.u16();
    if (questions != 1) {
      // RFC 9619: a query has one question.
      throw new DnsException("QDCOUNT: " + questions + " (expected: 1)");
    }
    if (answers != 0 || authorities != 0) {
      throw new DnsException(
          "ANCOUNT, NSCOUNT: " + answers + ", " + authorities + " (expected: 0, 0 in a query)");
    }
    String name = in.name();
    int type = in.u16();
    int dnsClass = in.u16();
    int questionEnd = in.position();
    boolean edns = false;
    int udpBytes = 0;
    int udpBytesAt = 0;
    for (int i = 0; i < additionals; i++) {
      String owner = in.name();
      int recordType = in.u16();
      int classAt = in.position();
      int recordClass = in.u16();
      in.u32();
      in.skip(in.u16());
      if (recordType == Dns.OPT) {
        if (edns || !owner.isEmpty()) {
          throw new DnsException(
              "a second OPT record, or one that is not the root's (RFC 6891 §6.1.1)");
        }
        edns = true;
        udpBytes = recordClass;
        udpBytesAt = classAt;
      }
    }
    if (in.remaining() != 0) {
      throw new DnsException("bytes after the last record: " + in.remaining() + " (expected: 0)");
    }
    return new DnsQuery(
        id,
        flags,
        new DnsQuestion(name, type, dnsClass),
        questionEnd,
        edns,
        udpBytes,
        udpBytesAt,
        message);
  }
}

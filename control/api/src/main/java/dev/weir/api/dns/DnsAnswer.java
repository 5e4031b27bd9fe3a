package dev.weir.api.dns;

import java.util.List;

/** An answer to one query. Pure: the same query and records give the same bytes. */
public record DnsAnswer(
    int rcode,
    boolean authoritative,
    List<DnsRecord> answers,
    List<DnsRecord> authority,
    List<DnsRecord> additional) {

  public DnsAnswer {
    answers = List.copyOf(answers);
    authority = List.copyOf(authority);
    additional = List.copyOf(additional);
  }

  public static DnsAnswer of(List<? extends DnsRecord> answers) {
    return new DnsAnswer(Dns.NOERROR, true, List.copyOf(answers), List.of(), List.of());
  }

  /** The name does not exist, or has no record of the type asked: {@code rcode} tells which. */
  public static DnsAnswer absent(int rcode, DnsRecord.Authority zone) {
    return new DnsAnswer(rcode, true, List.of(), List.of(zone), List.of());
  }

  public static DnsAnswer failure(int rcode) {
    return new DnsAnswer(rcode, false, List.of(), List.of(), List.of());
  }

  /**
   * The message, in at most {@code maxBytes}. Over UDP, what does not fit is left out record by
   * record and TC is set (RFC 2181 §9), so that the resolver comes back over TCP; additional
   * records are dropped first and without TC, nobody needs them.
   */
  public byte[] encode(DnsQuery query, int maxBytes) {
    int limit = query.edns() ? maxBytes - 11 : maxBytes;
    WireWriter out = new WireWriter();
    out.u16(query.id());
    out.u16(0);
    out.u16(1);
    out.put(new byte[6]);
    out.put(query.message(), Dns.HEADER_BYTES, query.questionEnd() - Dns.HEADER_BYTES);
    out.remember(query.question().name(), Dns.HEADER_BYTES);
    int answered = section(out, answers, limit);
    boolean truncated = answered < answers.size();
    int authorities = truncated ? 0 : section(out, authority, limit);
    truncated |= authorities < authority.size();
    int extras = truncated ? 0 : section(out, additional, limit);
    if (query.edns()) {
      out.u8(0);
      out.u16(Dns.OPT);
      out.u16(Dns.MAX_UDP_BYTES);
      out.u32(0);
      out.u16(0);
      extras++;
    }
    out.patch16(
        2,
        Dns.FLAG_RESPONSE
            | (authoritative ? Dns.FLAG_AUTHORITATIVE : 0)
            | (truncated ? Dns.FLAG_TRUNCATED : 0)
            | (query.flags() & (Dns.FLAG_RECURSION_DESIRED | Dns.FLAG_CHECKING_DISABLED))
            | Dns.FLAG_RECURSION_AVAILABLE
            | rcode);
    out.patch16(6, answered);
    out.patch16(8, authorities);
    out.patch16(10, extras);
    return out.toBytes();
  }

  /** Nothing but the question and TC: ask again over TCP. */
  public static byte[] truncated(DnsQuery query) {
    byte[] message = failure(Dns.NOERROR).encode(query, Dns.MAX_UDP_BYTES);
    message[2] |= (byte) (Dns.FLAG_TRUNCATED >> 8);
    return message;
  }

  private static int section(WireWriter out, List<DnsRecord> records, int limit) {
    int count = 0;
    for (DnsRecord record : records) {
      int before = out.position();
      write(out, record);
      if (out.position() > limit) {
        out.cut(before);
        break;
      }
      count++;
    }
    return count;
  }

  private static void write(WireWriter out, DnsRecord record) {
    out.name(record.name(), true);
    out.u16(record.type());
    out.u16(Dns.CLASS_IN);
    out.u32(record.ttlSeconds());
    int lengthAt = out.position();
    out.u16(0);
    switch (record) {
      case DnsRecord.Address address -> out.put(address.address().getAddress());
      case DnsRecord.Alias alias -> out.name(alias.target(), true);
      case DnsRecord.Pointer pointer -> out.name(pointer.target(), true);
      case DnsRecord.Server server -> {
        out.u16(server.priority());
        out.u16(server.weight());
        out.u16(server.port());
        out.name(server.target(), false);
      }
      case DnsRecord.Authority zone -> {
        out.name(zone.server(), true);
        out.name(zone.mailbox(), true);
        out.u32(zone.serial());
        out.u32(7200);
        out.u32(1800);
        out.u32(86400);
        out.u32(zone.minimumSeconds());
      }
    }
    out.patch16(lengthAt, out.position() - lengthAt - 2);
  }
}

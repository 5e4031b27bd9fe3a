package dev.weir.api.dns;

/** Numbers of DNS that Weir speaks of. */
public final class Dns {
  public static final int HEADER_BYTES = 12;

  /** RFC 1035 §2.3.4. */
  public static final int MAX_NAME_BYTES = 255;

  public static final int MAX_LABEL_BYTES = 63;

  /** RFC 1035 §4.2.1: what a resolver without EDNS0 takes over UDP. */
  public static final int PLAIN_UDP_BYTES = 512;

  /** What Weir lets a resolver ask for over UDP: no fragment on any path (DNS flag day 2020). */
  public static final int MAX_UDP_BYTES = 1232;

  public static final int MAX_TCP_BYTES = 65535;

  public static final int A = 1;
  public static final int NS = 2;
  public static final int CNAME = 5;
  public static final int SOA = 6;
  public static final int PTR = 12;
  public static final int AAAA = 28;
  public static final int SRV = 33;
  public static final int OPT = 41;
  public static final int ANY = 255;

  public static final int CLASS_IN = 1;
  public static final int CLASS_ANY = 255;

  public static final int NOERROR = 0;
  public static final int FORMERR = 1;
  public static final int SERVFAIL = 2;
  public static final int NXDOMAIN = 3;
  public static final int NOTIMP = 4;
  public static final int REFUSED = 5;

  static final int FLAG_RESPONSE = 0x8000;
  static final int FLAG_AUTHORITATIVE = 0x0400;
  static final int FLAG_TRUNCATED = 0x0200;
  static final int FLAG_RECURSION_DESIRED = 0x0100;
  static final int FLAG_RECURSION_AVAILABLE = 0x0080;
  static final int FLAG_CHECKING_DISABLED = 0x0010;

  private Dns() {}
}

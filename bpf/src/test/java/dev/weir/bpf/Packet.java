package dev.weir.bpf;

import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.util.Arrays;

/** Ethernet frames of TCP, as bytes. */
final class Packet {
  static final int FIN = 0x01;
  static final int SYN = 0x02;
  static final int RST = 0x04;
  static final int ACK = 0x10;

  static final int ETHERNET_BYTES = 14;
  private static final int TCP_BYTES = 20;
  // MSS 1460 and three fillers: a SYN that has options, as all have.
  private static final byte[] OPTIONS = {2, 4, 0x05, (byte) 0xb4, 1, 1, 1, 0};
  private static final byte[] OUR_MAC = {2, 0, 0, 0, 0, 1};
  private static final byte[] THEIR_MAC = {2, 0, 0, 0, 0, 2};

  private Packet() {}

  /** {@code between} are extension headers (IPv6) or options (IPv4) in front of TCP. */
  @SuppressWarnings("ArrayRecordComponent") // compared by nobody
  record Head(InetAddress from, InetAddress to, int fragment, int firstHeader, byte[] between) {
    Head(InetAddress from, InetAddress to) {
      this(from, to, 0, 6, new byte[0]);
    }

    boolean four() {
      return from.getAddress().length == 4;
    }
  }

  static byte[] tcp(InetAddress from, int fromPort, InetAddress to, int toPort, int flags) {
    return tcp(new Head(from, to), fromPort, toPort, flags);
  }

  static byte[] tcp(Head head, int fromPort, int toPort, int flags) {
    int tcpBytes = TCP_BYTES + OPTIONS.length;
    ByteBuffer tcp =
        ByteBuffer.allocate(tcpBytes)
            .putShort((short) fromPort)
            .putShort((short) toPort)
            .putInt(0x01020304)
            .putInt((flags & ACK) == 0 ? 0 : 0x05060708)
            .put((byte) ((tcpBytes / 4) << 4))
            .put((byte) flags)
            .putShort((short) 0xfaf0)
            .putShort((short) 0)
            .putShort((short) 0)
            .put(OPTIONS);
    byte[] segment = tcp.array();
    short check = (short) ~sum(pseudo(head, segment));
    tcp.putShort(16, check);
    return ip(head, segment);
  }

  static byte[] ip(Head head, byte[] payload) {
    return head.four() ? ip4(head, payload) : ip6(head, payload);
  }

  private static byte[] ip4(Head head, byte[] payload) {
    int header = 20 + head.between().length;
    ByteBuffer frame =
        ByteBuffer.allocate(ETHERNET_BYTES + header + payload.length)
            .put(OUR_MAC)
            .put(THEIR_MAC)
            .putShort((short) 0x0800)
            .put((byte) (0x40 | (header / 4)))
            .put((byte) 0)
            .putShort((short) (header + payload.length))
            .putShort((short) 0)
            .putShort((short) head.fragment())
            .put((byte) 64)
            .put((byte) head.firstHeader())
            .putShort((short) 0)
            .put(head.from().getAddress())
            .put(head.to().getAddress())
            .put(head.between())
            .put(payload);
    byte[] bytes = frame.array();
    byte[] ip = Arrays.copyOfRange(bytes, ETHERNET_BYTES, ETHERNET_BYTES + header);
    frame.putShort(ETHERNET_BYTES + 10, (short) ~sum(ip));
    return bytes;
  }

  private static byte[] ip6(Head head, byte[] payload) {
    return ByteBuffer.allocate(ETHERNET_BYTES + 40 + head.between().length + payload.length)
        .put(OUR_MAC)
        .put(THEIR_MAC)
        .putShort((short) 0x86dd)
        .putInt(0x60000000)
        .putShort((short) (head.between().length + payload.length))
        .put((byte) head.firstHeader())
        .put((byte) 64)
        .put(head.from().getAddress())
        .put(head.to().getAddress())
        .put(head.between())
        .put(payload)
        .array();
  }

  private static byte[] pseudo(Head head, byte[] segment) {
    byte[] from = head.from().getAddress();
    byte[] to = head.to().getAddress();
    return ByteBuffer.allocate(from.length + to.length + 8 + segment.length)
        .put(from)
        .put(to)
        .putInt(segment.length)
        .putInt(6)
        .put(segment)
        .array();
  }

  /** Whether the TCP checksum of a frame without extension headers holds. */
  static boolean checks(byte[] frame, boolean four) {
    int tcp = ETHERNET_BYTES + (four ? 20 : 40);
    int source = ETHERNET_BYTES + (four ? 12 : 8);
    int width = four ? 4 : 16;
    Head head = new Head(address(frame, source, width), address(frame, source + width, width));
    return sum(pseudo(head, Arrays.copyOfRange(frame, tcp, frame.length))) == 0xffff;
  }

  static InetAddress address(byte[] frame, int at, int width) {
    return Layouts.address(
        width == 16 ? Arrays.copyOfRange(frame, at, at + width) : Layouts.mapped(four(frame, at)));
  }

  private static InetAddress four(byte[] frame, int at) {
    return InetAddress.ofLiteral(
        "%d.%d.%d.%d"
            .formatted(
                frame[at] & 0xff,
                frame[at + 1] & 0xff,
                frame[at + 2] & 0xff,
                frame[at + 3] & 0xff));
  }

  private static int sum(byte[] bytes) {
    ByteBuffer words = ByteBuffer.wrap(bytes);
    int sum = 0;
    while (words.remaining() >= 2) {
      sum += words.getShort() & 0xffff;
    }
    while (sum >>> 16 != 0) {
      sum = (sum & 0xffff) + (sum >>> 16);
    }
    return sum;
  }
}

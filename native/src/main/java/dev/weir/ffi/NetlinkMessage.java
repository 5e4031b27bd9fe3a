package dev.weir.ffi;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/** One netlink request as it grows: header, fixed struct, attributes padded to four. */
final class NetlinkMessage {
  static final int HEADER = 16;
  static final int REQUEST = 1;
  static final int ACKNOWLEDGE = 4;
  static final int DUMP = 0x300;
  static final int EXCLUSIVE = 0x200;
  static final int CREATE = 0x400;

  private static final int ATTRIBUTE = 4;
  private static final int NESTED = 1 << 15;
  private static final int TYPE_MASK = ~(NESTED | 1 << 14);

  private final ByteBuffer buffer = ByteBuffer.allocate(1024).order(ByteOrder.nativeOrder());

  NetlinkMessage(short type) {
    buffer.putShort(4, type).position(HEADER);
  }

  NetlinkMessage octets(int a, int b, int c, int d) {
    buffer.put((byte) a).put((byte) b).put((byte) c).put((byte) d);
    return this;
  }

  NetlinkMessage integer(int value) {
    buffer.putInt(value);
    return this;
  }

  /** So many zeros. */
  NetlinkMessage bytes(int zeros) {
    buffer.position(buffer.position() + zeros);
    return this;
  }

  NetlinkMessage append(byte[] bytes) {
    buffer.put(bytes);
    return this;
  }

  /** struct ifinfomsg. */
  NetlinkMessage interfaceHeader(int index, int flags, int change) {
    return integer(0).integer(index).integer(flags).integer(change);
  }

  NetlinkMessage integer(short type, int value) {
    buffer.putShort((short) (ATTRIBUTE + Integer.BYTES)).putShort(type).putInt(value);
    return this;
  }

  NetlinkMessage string(short type, String value) {
    return raw(type, (value + '\0').getBytes(StandardCharsets.UTF_8));
  }

  NetlinkMessage raw(short type, byte[] value) {
    buffer.putShort((short) (ATTRIBUTE + value.length)).putShort(type).put(value);
    return bytes(-value.length & 3);
  }

  /** Begins a nested attribute; what it returns closes it. */
  int open(short type) {
    int start = buffer.position();
    buffer.putShort((short) 0).putShort((short) (type | NESTED));
    return start;
  }

  NetlinkMessage close(int start) {
    buffer.putShort(start, (short) (buffer.position() - start));
    return this;
  }

  byte[] encode(int flags, int sequence) {
    buffer.putInt(0, buffer.position()).putShort(6, (short) flags).putInt(8, sequence);
    byte[] encoded = new byte[buffer.position()];
    buffer.get(0, encoded);
    return encoded;
  }

  interface Attribute {
    void accept(short type, ByteBuffer value);
  }

  /**
   * Walks attributes; a length that does not fit ends the walk, as in the kernel's own
   * nla_for_each_attr.
   */
  static void attributes(ByteBuffer attributes, Attribute sink) {
    int at = 0;
    while (at + ATTRIBUTE <= attributes.limit()) {
      int length = Short.toUnsignedInt(attributes.getShort(at));
      if (length < ATTRIBUTE || at + length > attributes.limit()) {
        return;
      }
      short type = (short) (attributes.getShort(at + 2) & TYPE_MASK);
      sink.accept(
          type, attributes.slice(at + ATTRIBUTE, length - ATTRIBUTE).order(attributes.order()));
      at += (length + 3) & -4;
    }
  }

  /** A C string that an attribute holds. */
  static String text(ByteBuffer value) {
    int length = 0;
    while (length < value.limit() && value.get(length) != 0) {
      length++;
    }
    return StandardCharsets.UTF_8.decode(value.slice(0, length)).toString();
  }
}

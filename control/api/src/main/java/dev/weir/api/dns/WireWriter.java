package dev.weir.api.dns;

import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/** Writes one message; names are compressed against those already written (RFC 1035 §4.1.4). */
final class WireWriter {
  private final Map<String, Integer> written = new HashMap<>();
  private byte[] bytes = new byte[256];
  private int position;

  int position() {
    return position;
  }

  /** Forgets what stands past a position, names too. */
  void cut(int to) {
    position = to;
    written.values().removeIf(at -> at >= to);
  }

  void u8(int value) {
    room(1);
    bytes[position++] = (byte) value;
  }

  void u16(int value) {
    room(2);
    bytes[position++] = (byte) (value >> 8);
    bytes[position++] = (byte) value;
  }

  void u32(long value) {
    u16((int) (value >> 16));
    u16((int) value);
  }

  void put(byte[] source, int from, int count) {
    room(count);
    System.arraycopy(source, from, bytes, position, count);
    position += count;
  }

  void put(byte[] source) {
    put(source, 0, source.length);
  }

  void patch16(int at, int value) {
    bytes[at] = (byte) (value >> 8);
    bytes[at + 1] = (byte) value;
  }

  /**
   * Notes that a name already stands at a position, as the question copied from the client does.
   */
  void remember(String name, int at) {
    int offset = at;
    String rest = name;
    while (!rest.isEmpty() && offset < 0x4000) {
      written.putIfAbsent(rest, offset);
      int labelEnd = labelEnd(rest);
      offset += labelBytes(rest, labelEnd) + 1;
      rest = labelEnd == rest.length() ? "" : rest.substring(labelEnd + 1);
    }
  }

  /**
   * A name as {@link WireReader#name()} gives it. SRV targets must not be compressed (RFC 2782).
   */
  void name(String name, boolean compress) {
    String rest = name;
    while (!rest.isEmpty()) {
      Integer known = compress ? written.get(rest) : null;
      if (known != null) {
        u16(0xc000 | known);
        return;
      }
      if (position < 0x4000) {
        written.putIfAbsent(rest, position);
      }
      int labelEnd = labelEnd(rest);
      label(rest, labelEnd);
      rest = labelEnd == rest.length() ? "" : rest.substring(labelEnd + 1);
    }
    u8(0);
  }

  byte[] toBytes() {
    return Arrays.copyOf(bytes, position);
  }

  private void label(String text, int labelEnd) {
    int lengthAt = position;
    u8(0);
    for (int i = 0; i < labelEnd; i++) {
      char c = text.charAt(i);
      if (c == '\\') {
        u8(
            (text.charAt(i + 1) - '0') * 100
                + (text.charAt(i + 2) - '0') * 10
                + (text.charAt(i + 3) - '0'));
        i += 3;
      } else {
        u8(c);
      }
    }
    bytes[lengthAt] = (byte) (position - lengthAt - 1);
  }

  private static int labelEnd(String text) {
    int dot = text.indexOf('.');
    return dot < 0 ? text.length() : dot;
  }

  private static int labelBytes(String text, int labelEnd) {
    int bytes = 0;
    for (int i = 0; i < labelEnd; i++) {
      if (text.charAt(i) == '\\') {
        i += 3;
      }
      bytes++;
    }
    return bytes;
  }

  private void room(int more) {
    if (position + more > bytes.length) {
      bytes = Arrays.copyOf(bytes, Math.max(bytes.length * 2, position + more));
    }
  }
}

package dev.weir.api.dns;

/** Reads one message front to back; every read is checked against its end. */
final class WireReader {
  private final byte[] message;
  private final int end;
  private int position;

  WireReader(byte[] message, int length) {
    this.message = message;
    this.end = length;
  }

  int position() {
    return position;
  }

  int remaining() {
    return end - position;
  }

  void seek(int to) throws DnsException {
    if (to < 0 || to > end) {
      throw new DnsException("offset: " + to + " (expected: at most " + end + ")");
    }
    position = to;
  }

  void skip(int bytes) throws DnsException {
    need(bytes);
    position += bytes;
  }

  int u8() throws DnsException {
    need(1);
    return message[position++] & 0xff;
  }

  int u16() throws DnsException {
    need(2);
    int value = (message[position] & 0xff) << 8 | (message[position + 1] & 0xff);
    position += 2;
    return value;
  }

  long u32() throws DnsException {
    return (long) u16() << 16 | u16();
  }

  byte[] bytes(int count) throws DnsException {
    need(count);
    byte[] copy = new byte[count];
    System.arraycopy(message, position, copy, 0, count);
    position += count;
    return copy;
  }

  /**
   * A domain name as text: labels in lower case, no trailing dot, {@code ""} for the root; bytes
   * outside of the printable set, dots and backslashes inside a label as {@code \DDD} (RFC 1035
   * §5.1), so that no two names read alike.
   *
   * <p>A compression pointer may only lead backwards, before the place it stands at (RFC 1035
   * §4.1.4 "prior occurrence"): each jump is strictly smaller than the last, so a loop cannot be
   * written.
   */
  String name() throws DnsException {
    StringBuilder text = new StringBuilder(48);
    int at = position;
    int lowest = position;
    int resume = -1;
    int wireBytes = 1;
    while (true) {
      if (at >= end) {
        throw new DnsException("name at " + position + " runs past the end of the message");
      }
      int length = message[at] & 0xff;
      if (length == 0) {
        at++;
        break;
      }
      switch (length & 0xc0) {
        case 0 -> {
          wireBytes += length + 1;
          if (wireBytes > Dns.MAX_NAME_BYTES) {
            throw new DnsException("name at " + position + " is longer than 255 bytes");
          }
          if (at + 1 + length > end) {
            throw new DnsException("label at " + at + " runs past the end of the message");
          }
          if (!text.isEmpty()) {
            text.append('.');
          }
          label(text, at + 1, length);
          at += 1 + length;
        }
        case 0xc0 -> {
          if (at + 1 >= end) {
            throw new DnsException("pointer at " + at + " is cut off");
          }
          int target = (length & 0x3f) << 8 | (message[at + 1] & 0xff);
          if (target >= lowest || target < Dns.HEADER_BYTES) {
            throw new DnsException(
                "pointer at " + at + ": " + target + " (expected: 12 to " + (lowest - 1) + ")");
          }
          if (resume < 0) {
            resume = at + 2;
          }
          lowest = target;
          at = target;
        }
        default ->
            throw new DnsException(
                "label type at " + at + ": " + (length >> 6) + " (expected: 0 or 3)");
      }
    }
    position = resume < 0 ? at : resume;
    return text.toString();
  }

  private void label(StringBuilder text, int from, int length) {
    for (int i = from; i < from + length; i++) {
      int c = message[i] & 0xff;
      if (c >= 'A' && c <= 'Z') {
        text.append((char) (c + 32));
      } else if (c > ' ' && c < 127 && c != '.' && c != '\\') {
        text.append((char) c);
      } else {
        text.append('\\')
            .append((char) ('0' + c / 100))
            .append((char) ('0' + c / 10 % 10))
            .append((char) ('0' + c % 10));
      }
    }
  }

  private void need(int bytes) throws DnsException {
    if (bytes < 0 || remaining() < bytes) {
      throw new DnsException(
          "message ends at " + end + " (expected: " + bytes + " more bytes at " + position + ")");
    }
  }
}

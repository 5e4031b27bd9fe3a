package dev.weir.agent.tunnel;

import io.netty.buffer.ByteBuf;
import java.nio.charset.StandardCharsets;

/** The numbers of RFC 9113 sections 4, 6 and 6.5.2, and the frames that we write. */
final class Frame {
  static final int HEAD = 9;

  static final int DATA = 0;
  static final int HEADERS = 1;
  static final int PRIORITY = 2;
  static final int RST_STREAM = 3;
  static final int SETTINGS = 4;
  static final int PUSH_PROMISE = 5;
  static final int PING = 6;
  static final int GOAWAY = 7;
  static final int WINDOW_UPDATE = 8;
  static final int CONTINUATION = 9;

  static final int END_STREAM = 0x1;
  static final int ACK = 0x1;
  static final int END_HEADERS = 0x4;
  static final int PADDED = 0x8;
  static final int PRIORITISED = 0x20;

  static final int HEADER_TABLE_SIZE = 1;
  static final int ENABLE_PUSH = 2;
  static final int MAX_CONCURRENT_STREAMS = 3;
  static final int INITIAL_WINDOW_SIZE = 4;
  static final int MAX_FRAME_SIZE = 5;
  static final int MAX_HEADER_LIST_SIZE = 6;

  /** What every peer accepts before its SETTINGS say otherwise. */
  static final int DEFAULT_WINDOW = 65_535;

  static final int DEFAULT_FRAME_SIZE = 16_384;
  static final int LARGEST_FRAME_SIZE = (1 << 24) - 1;

  /** The longest of our frames but DATA and HEADERS. */
  static final int SMALL = HEAD + 8 + 128;

  private static final int MOST_TEXT = 128;

  private static final byte[] PREFACE =
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".getBytes(StandardCharsets.US_ASCII);

  private Frame() {}

  static int prefaceLength() {
    return PREFACE.length;
  }

  static byte prefaceByte(int index) {
    return PREFACE[index];
  }

  static void preface(ByteBuf to) {
    to.writeBytes(PREFACE);
  }

  static ByteBuf head(ByteBuf to, int length, int type, int flags, int stream) {
    return to.writeMedium(length).writeByte(type).writeByte(flags).writeInt(stream);
  }

  static void dataHead(ByteBuf to, int stream, int length, boolean end) {
    head(to, length, DATA, end ? END_STREAM : 0, stream);
  }

  /** Before what is next to be read, which is its payload; reading begins with the head then. */
  static void dataHeadBefore(ByteBuf payload, int stream, int length, boolean end) {
    int begins = payload.readerIndex() - HEAD;
    int ends = payload.writerIndex();
    payload.readerIndex(begins).writerIndex(begins);
    dataHead(payload, stream, length, end);
    payload.writerIndex(ends);
  }

  static void resetStream(ByteBuf to, int stream, ErrorCode code) {
    head(to, 4, RST_STREAM, 0, stream).writeInt(code.number());
  }

  static void windowUpdate(ByteBuf to, int stream, int increment) {
    head(to, 4, WINDOW_UPDATE, 0, stream).writeInt(increment);
  }

  static void ping(ByteBuf to, long opaque, boolean acknowledges) {
    head(to, 8, PING, acknowledges ? ACK : 0, 0).writeLong(opaque);
  }

  static void settingsAck(ByteBuf to) {
    head(to, 0, SETTINGS, ACK, 0);
  }

  static void goAway(ByteBuf to, int lastStream, ErrorCode code, String cause) {
    byte[] text = cause.getBytes(StandardCharsets.US_ASCII);
    int length = Math.min(text.length, MOST_TEXT);
    head(to, 8 + length, GOAWAY, 0, 0)
        .writeInt(lastStream)
        .writeInt(code.number())
        .writeBytes(text, 0, length);
  }
}

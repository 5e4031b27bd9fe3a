package dev.weir.agent.tunnel;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;
import java.nio.charset.StandardCharsets;
import org.jspecify.annotations.Nullable;

/**
 * Reads frames from bytes that come in pieces of any size. What is in a DATA frame is passed on as
 * slices as it comes, so that a frame of a mebibyte never stands in memory; what must be seen whole
 * is small and bounded. Rules that need no knowledge of streams are kept here, the others in {@link
 * TunnelSession}.
 */
final class FrameReader {
  /** Where frames go. */
  interface Sink {
    /**
     * A DATA frame begins.
     *
     * @param length what flow control counts: all of the payload, padding too
     */
    void dataBegins(int stream, int length, boolean ends) throws ConnectionError;

    /** A piece of the frame; the sink owns it. */
    void data(ByteBuf piece);

    /**
     * The frame is over.
     *
     * @param padding how much of its length was padding, with the octet that says how long it is
     */
    void dataEnds(int padding) throws ConnectionError;

    /** A whole header block, which the reader owns. */
    void headers(int stream, ByteBuf block, boolean ends) throws ConnectionError;

    /** A PRIORITY frame of the wrong size: an error of its stream. */
    void badPriority(int stream) throws ConnectionError;

    void resetStream(int stream, ErrorCode code) throws ConnectionError;

    void setting(int id, long value) throws ConnectionError;

    void settingsEnd() throws ConnectionError;

    void settingsAcknowledged() throws ConnectionError;

    void ping(long opaque, boolean acknowledges) throws ConnectionError;

    void goAway(int lastStream, ErrorCode code, String text) throws ConnectionError;

    void windowUpdate(int stream, int increment) throws ConnectionError;

    /** A frame that means nothing to us. */
    void meaningless() throws ConnectionError;

    /** Nothing more is to be read. */
    boolean ended();
  }

  private enum Step {
    PREFACE,
    HEAD,
    /** The pad length of DATA or HEADERS. */
    PAD,
    DATA,
    /** The five octets of priority in HEADERS. */
    DEPENDENCY,
    BLOCK,
    SETTING,
    /** The fixed part of RST_STREAM, PING, GOAWAY or WINDOW_UPDATE. */
    FIXED,
    DEBUG,
    /** Padding, unknown frames, what is left of debug data. */
    SKIP
  }

  /** RFC 9113 defines seven; a peer that sends dozens is not talking to us. */
  private static final int MOST_SETTINGS = 64;

  private static final int MOST_CONTINUATIONS = 16;
  private static final int MOST_DEBUG = 128;

  private final ByteBufAllocator allocator;
  private final int maxFrame;
  private final int maxBlock;
  private final byte[] scratch = new byte[Frame.HEAD];
  private Step step;
  private int got;
  private boolean greeted;

  private int type;
  private int flags;
  private int stream;
  private int left;
  private int padding;

  private @Nullable ByteBuf block;
  private int blockStream;
  private boolean blockEnds;
  private int continuations;

  private int lastStream;
  private ErrorCode code = ErrorCode.NO_ERROR;
  private byte[] debug = {};

  /**
   * @param server whether the peer's preface comes first
   * @param maxBlock the longest header block, as it is on the wire
   */
  FrameReader(ByteBufAllocator allocator, boolean server, int maxFrame, int maxBlock) {
    this.allocator = allocator;
    this.maxFrame = maxFrame;
    this.maxBlock = maxBlock;
    step = server ? Step.PREFACE : Step.HEAD;
  }

  /** Reads all that is there, or until the sink has had enough. The caller keeps the buffer. */
  void read(ByteBuf in, Sink sink) throws ConnectionError {
    boolean more = true;
    while (more && !sink.ended()) {
      more = step(in, sink);
    }
  }

  /** Gives back what is held of an unfinished frame. */
  void close() {
    if (block != null) {
      block.release();
      block = null;
    }
  }

  /** One step; false when more bytes are needed. */
  private boolean step(ByteBuf in, Sink sink) throws ConnectionError {
    return switch (step) {
      case PREFACE -> preface(in);
      case HEAD -> head(in, sink);
      case PAD -> pad(in);
      case DATA -> data(in, sink);
      case DEPENDENCY -> dependency(in);
      case BLOCK -> block(in, sink);
      case SETTING -> setting(in, sink);
      case FIXED -> fixed(in, sink);
      case DEBUG -> debug(in, sink);
      case SKIP -> skip(in);
    };
  }

  /** Collects into scratch; true when {@code length} bytes are there. */
  private boolean gather(ByteBuf in, int length) {
    int n = Math.min(length - got, in.readableBytes());
    in.readBytes(scratch, got, n);
    got += n;
    if (got < length) {
      return false;
    }
    got = 0;
    return true;
  }

  private int intAt(int index) {
    return (scratch[index] & 0xff) << 24
        | (scratch[index + 1] & 0xff) << 16
        | (scratch[index + 2] & 0xff) << 8
        | (scratch[index + 3] & 0xff);
  }

  private boolean preface(ByteBuf in) throws ConnectionError {
    while (in.isReadable()) {
      if (in.readByte() != Frame.prefaceByte(got)) {
        throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "not an HTTP/2 preface");
      }
      if (++got == Frame.prefaceLength()) {
        got = 0;
        step = Step.HEAD;
        return true;
      }
    }
    return false;
  }

  private boolean head(ByteBuf in, Sink sink) throws ConnectionError {
    if (!gather(in, Frame.HEAD)) {
      return false;
    }
    left = intAt(0) >>> 8;
    type = scratch[3] & 0xff;
    flags = scratch[4] & 0xff;
    stream = intAt(5) & Integer.MAX_VALUE;
    padding = 0;
    if (!greeted) {
      // RFC 9113 section 3.4: SETTINGS, and not an acknowledgement, come first.
      if (type != Frame.SETTINGS || (flags & Frame.ACK) != 0) {
        throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS");
      }
      greeted = true;
    }
    if (left > maxFrame) {
      throw new ConnectionError(
          ErrorCode.FRAME_SIZE_ERROR, "a frame of " + left + " bytes (at most " + maxFrame + ")");
    }
    if (block != null && (type != Frame.CONTINUATION || stream != blockStream)) {
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "a header block was interrupted");
    }
    switch (type) {
      case Frame.DATA -> {
        onStream("DATA");
        if ((flags & Frame.PADDED) != 0 && left == 0) {
          throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "padded DATA without pad length");
        }
        sink.dataBegins(stream, left, (flags & Frame.END_STREAM) != 0);
        step = (flags & Frame.PADDED) != 0 ? Step.PAD : Step.DATA;
      }
      case Frame.HEADERS -> {
        onStream("HEADERS");
        int before =
            ((flags & Frame.PADDED) != 0 ? 1 : 0) + ((flags & Frame.PRIORITISED) != 0 ? 5 : 0);
        if (left < before) {
          throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "HEADERS too short");
        }
        blockStream = stream;
        blockEnds = (flags & Frame.END_STREAM) != 0;
        continuations = 0;
        room(Math.max(0, left - before - ((flags & Frame.PADDED) != 0 ? 255 : 0)));
        step =
            (flags & Frame.PADDED) != 0
                ? Step.PAD
                : (flags & Frame.PRIORITISED) != 0 ? Step.DEPENDENCY : Step.BLOCK;
      }
      case Frame.CONTINUATION -> {
        if (block == null) {
          throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without HEADERS");
        }
        if (++continuations > MOST_CONTINUATIONS) {
          throw new ConnectionError(Abuse.HEADERS);
        }
        step = Step.BLOCK;
      }
      case Frame.PRIORITY -> {
        onStream("PRIORITY");
        step = Step.SKIP;
        if (left != 5) {
          sink.badPriority(stream);
        } else {
          sink.meaningless();
        }
      }
      case Frame.RST_STREAM -> {
        onStream("RST_STREAM");
        fixed(4, true, "RST_STREAM");
      }
      case Frame.SETTINGS -> {
        onConnection("SETTINGS");
        if ((flags & Frame.ACK) != 0) {
          if (left != 0) {
            throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS ack with payload");
          }
          sink.settingsAcknowledged();
        } else if (left % 6 != 0) {
          throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS of odd length");
        } else if (left > 6 * MOST_SETTINGS) {
          throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "too many settings");
        } else {
          step = Step.SETTING;
        }
      }
      case Frame.PUSH_PROMISE ->
          throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE, which nobody enabled");
      case Frame.PING -> {
        onConnection("PING");
        fixed(8, true, "PING");
      }
      case Frame.GOAWAY -> {
        onConnection("GOAWAY");
        fixed(8, false, "GOAWAY");
      }
      case Frame.WINDOW_UPDATE -> fixed(4, true, "WINDOW_UPDATE");
      default -> {
        step = Step.SKIP;
        sink.meaningless();
      }
    }
    return true;
  }

  private void onStream(String name) throws ConnectionError {
    if (stream == 0) {
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, name + " on stream 0");
    }
  }

  private void onConnection(String name) throws ConnectionError {
    if (stream != 0) {
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, name + " on a stream");
    }
  }

  private void fixed(int length, boolean exact, String name) throws ConnectionError {
    if (exact ? left != length : left < length) {
      throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, name + " of " + left + " bytes");
    }
    step = Step.FIXED;
  }

  /** Makes sure that the header block may take so many more bytes. */
  private ByteBuf room(int more) throws ConnectionError {
    int held = block == null ? 0 : block.readableBytes();
    if (more > maxBlock - held) {
      throw new ConnectionError(Abuse.HEADERS);
    }
    if (block == null) {
      block = allocator.heapBuffer(Math.max(64, Math.min(more, 1024)), maxBlock);
    }
    return block;
  }

  private boolean pad(ByteBuf in) throws ConnectionError {
    if (!in.isReadable()) {
      return false;
    }
    padding = in.readUnsignedByte();
    left--;
    boolean prioritised = type == Frame.HEADERS && (flags & Frame.PRIORITISED) != 0;
    if (padding > left - (prioritised ? 5 : 0)) {
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "more padding than frame");
    }
    left -= padding;
    step = type == Frame.DATA ? Step.DATA : prioritised ? Step.DEPENDENCY : Step.BLOCK;
    return true;
  }

  private boolean data(ByteBuf in, Sink sink) throws ConnectionError {
    if (left > 0) {
      int n = Math.min(left, in.readableBytes());
      if (n == 0) {
        return false;
      }
      left -= n;
      sink.data(in.readRetainedSlice(n));
      if (left > 0) {
        return false;
      }
    }
    sink.dataEnds((flags & Frame.PADDED) != 0 ? padding + 1 : 0);
    skipPadding();
    return true;
  }

  private void skipPadding() {
    left = padding;
    step = Step.SKIP;
  }

  private boolean dependency(ByteBuf in) {
    if (!gather(in, 5)) {
      return false;
    }
    left -= 5;
    step = Step.BLOCK;
    return true;
  }

  private boolean block(ByteBuf in, Sink sink) throws ConnectionError {
    ByteBuf to = room(left);
    int n = Math.min(left, in.readableBytes());
    to.writeBytes(in, n);
    left -= n;
    if (left > 0) {
      return false;
    }
    skipPadding();
    if ((flags & Frame.END_HEADERS) != 0) {
      block = null;
      try {
        sink.headers(blockStream, to, blockEnds);
      } finally {
        to.release();
      }
    }
    return true;
  }

  private boolean setting(ByteBuf in, Sink sink) throws ConnectionError {
    if (left == 0) {
      step = Step.HEAD;
      sink.settingsEnd();
      return true;
    }
    if (!gather(in, 6)) {
      return false;
    }
    left -= 6;
    sink.setting((scratch[0] & 0xff) << 8 | (scratch[1] & 0xff), intAt(2) & 0xffff_ffffL);
    return true;
  }

  private boolean fixed(ByteBuf in, Sink sink) throws ConnectionError {
    int length = type == Frame.PING || type == Frame.GOAWAY ? 8 : 4;
    if (!gather(in, length)) {
      return false;
    }
    left -= length;
    step = Step.HEAD;
    switch (type) {
      case Frame.RST_STREAM -> sink.resetStream(stream, ErrorCode.of(intAt(0)));
      case Frame.PING ->
          sink.ping((long) intAt(0) << 32 | (intAt(4) & 0xffff_ffffL), (flags & Frame.ACK) != 0);
      case Frame.WINDOW_UPDATE -> sink.windowUpdate(stream, intAt(0) & Integer.MAX_VALUE);
      default -> {
        lastStream = intAt(0) & Integer.MAX_VALUE;
        code = ErrorCode.of(intAt(4));
        debug = new byte[Math.min(left, MOST_DEBUG)];
        step = Step.DEBUG;
      }
    }
    return true;
  }

  private boolean debug(ByteBuf in, Sink sink) throws ConnectionError {
    int n = Math.min(debug.length - got, in.readableBytes());
    in.readBytes(debug, got, n);
    got += n;
    left -= n;
    if (got < debug.length) {
      return false;
    }
    String text = new String(debug, StandardCharsets.US_ASCII);
    got = 0;
    debug = new byte[0];
    step = Step.SKIP;
    sink.goAway(lastStream, code, text);
    return true;
  }

  private boolean skip(ByteBuf in) {
    int n = Math.min(left, in.readableBytes());
    in.skipBytes(n);
    left -= n;
    if (left > 0) {
      return false;
    }
    step = Step.HEAD;
    return true;
  }
}

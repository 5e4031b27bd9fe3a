package dev.weir.agent.tunnel;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Writes down what a stream tells, and keeps its bytes on the heap. */
final class Recording implements TunnelStream.Events {
  final List<String> events = new ArrayList<>();
  final ByteBuf received = Unpooled.buffer();
  boolean consumes = true;
  @Nullable TunnelStream stream;
  @Nullable Reset reset;

  TunnelStream stream() {
    if (stream == null) {
      throw new AssertionError("no stream was opened");
    }
    return stream;
  }

  Reset wasReset() {
    if (reset == null) {
      throw new AssertionError("not reset; events: " + events);
    }
    return reset;
  }

  @Override
  public void answered(int status, Baggage peer) {
    events.add("answered " + status);
  }

  @Override
  public void data(ByteBuf bytes) {
    int n = bytes.readableBytes();
    received.writeBytes(bytes);
    bytes.release();
    if (consumes && stream != null) {
      stream.consumed(n);
    }
  }

  @Override
  public void end() {
    events.add("end");
  }

  @Override
  public void reset(Reset reason) {
    reset = reason;
    events.add("reset " + reason.code());
  }

  @Override
  public void writable() {
    events.add("writable");
  }
}

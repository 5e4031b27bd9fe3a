package dev.weir.agent.tunnel;

import static org.assertj.core.api.Assertions.assertThat;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufUtil;
import io.netty.buffer.Unpooled;
import io.netty.buffer.UnpooledByteBufAllocator;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;

class FrameReaderTest {
  private final UnpooledByteBufAllocator allocator = new UnpooledByteBufAllocator(false, true);

  /** Writes down frames; pieces of one frame's data are joined. */
  private static final class Log implements FrameReader.Sink {
    final List<String> lines = new ArrayList<>();
    private final StringBuilder data = new StringBuilder();
    int longest;

    @Override
    public void dataBegins(int stream, int length, boolean ends) {
      lines.add("data " + stream + ' ' + length + ' ' + ends);
    }

    @Override
    public void data(ByteBuf piece) {
      longest = Math.max(longest, piece.readableBytes());
      data.append(ByteBufUtil.hexDump(piece));
      piece.release();
    }

    @Override
    public void dataEnds(int padding) {
      lines.add(data + " padding " + padding);
      data.setLength(0);
    }

    @Override
    public void headers(int stream, ByteBuf block, boolean ends) {
      lines.add("headers " + stream + ' ' + ByteBufUtil.hexDump(block) + ' ' + ends);
    }

    @Override
    public void badPriority(int stream) {
      lines.add("priority " + stream);
    }

    @Override
    public void resetStream(int stream, ErrorCode code) {
      lines.add("reset " + stream + ' ' + code);
    }

    @Override
    public void setting(int id, long value) {
      lines.add("setting " + id + ' ' + value);
    }

    @Override
    public void settingsEnd() {
      lines.add("settings");
    }

    @Override
    public void settingsAcknowledged() {
      lines.add("acknowledged");
    }

    @Override
    public void ping(long opaque, boolean acknowledges) {
      lines.add("ping " + opaque + ' ' + acknowledges);
    }

    @Override
    public void goAway(int lastStream, ErrorCode code, String text) {
      lines.add("goaway " + lastStream + ' ' + code + ' ' + text);
    }

    @Override
    public void windowUpdate(int stream, int increment) {
      lines.add("window " + stream + ' ' + increment);
    }

    @Override
    public void meaningless() {
      lines.add("meaningless");
    }

    @Override
    public boolean ended() {
      return false;
    }
  }

  private FrameReader reader() {
    return new FrameReader(allocator, false, 1 << 20, 1024);
  }

  private static ByteBuf everyKindOfFrame() {
    return Unpooled.wrappedBuffer(
        Wire.setting(4, 0xffff_ffffL),
        Wire.frame(Frame.SETTINGS, Frame.ACK, 0),
        Wire.frame(Frame.HEADERS, 0x2d, 1, 2, 0, 0, 0, 0, 9, 0x82, 0x83, 0, 0),
        Wire.frame(Frame.HEADERS, Frame.END_STREAM, 3, 1, 2),
        Wire.frame(Frame.CONTINUATION, 0, 3),
        Wire.frame(Frame.CONTINUATION, Frame.END_HEADERS, 3, 3),
        Wire.frame(Frame.DATA, 0, 1, 1, 2, 3, 4),
        Wire.frame(Frame.DATA, Frame.PADDED, 1, 3, 7, 8, 0, 0, 0),
        Wire.frame(Frame.DATA, Frame.PADDED | Frame.END_STREAM, 1, 0),
        Wire.frame(Frame.DATA, 0, 1),
        Wire.frame(0x77, 0xff, 5, 1, 2, 3),
        Wire.frame(Frame.PRIORITY, 0, 5, 1, 2, 3, 4, 5),
        Wire.ping(-2, true),
        Wire.frame(Frame.RST_STREAM, 0, 1, 0, 0, 0, 8),
        Wire.goAway(7, ErrorCode.CANCEL, "so long".repeat(30)),
        Wire.window(1, 5));
  }

  private List<String> read(ByteBuf bytes, int[] cuts) throws ConnectionError {
    FrameReader reader = reader();
    Log log = new Log();
    int cut = 0;
    while (bytes.isReadable()) {
      int n = Math.min(bytes.readableBytes(), cuts[cut++ % cuts.length]);
      ByteBuf piece = allocator.buffer(n).writeBytes(bytes, n);
      try {
        reader.read(piece, log);
        assertThat(piece.isReadable()).isFalse();
      } finally {
        piece.release();
      }
    }
    reader.close();
    bytes.release();
    return log.lines;
  }

  @Property(tries = 300)
  void anySplitOfTheBytesGivesTheSameFrames(
      @ForAll @Size(min = 1, max = 20) List<@IntRange(min = 1, max = 40) Integer> cuts)
      throws ConnectionError {
    List<String> whole = read(everyKindOfFrame(), new int[] {Integer.MAX_VALUE});
    assertThat(whole).hasSize(19).contains("headers 3 010203 true", "0708 padding 4");
    assertThat(read(everyKindOfFrame(), cuts.stream().mapToInt(Integer::intValue).toArray()))
        .isEqualTo(whole);
    allGivenBack();
  }

  @Test
  void aLongFrameIsPassedOnAsItComes() throws ConnectionError {
    FrameReader reader = reader();
    Log log = new Log();
    ByteBuf start =
        Unpooled.wrappedBuffer(
            Wire.frame(Frame.SETTINGS, 0, 0),
            Frame.head(Unpooled.buffer(), 1 << 20, Frame.DATA, 0, 1));
    reader.read(start, log);
    start.release();
    for (int i = 0; i < 1 << 10; i++) {
      ByteBuf piece = allocator.buffer(1 << 10).writeZero(1 << 10);
      reader.read(piece, log);
      piece.release();
      allGivenBack();
    }
    assertThat(log.longest).isEqualTo(1 << 10);
    assertThat(log.lines).hasSize(3).last().asString().hasSize((2 << 20) + " padding 0".length());
  }

  @Property(tries = 1000)
  void bytesAtRandomEndInAConnectionErrorOrNothing(@ForAll long seed) {
    Random random = new Random(seed);
    Wire wire = Wire.server(new TunnelLimits(5000, 5000, 5000, 70_000, 8, 16_384, 1024));
    for (int i = 0; i < 40 && wire.channel.isOpen(); i++) {
      byte[] payload = new byte[random.nextInt(random.nextBoolean() ? 20 : 600)];
      random.nextBytes(payload);
      int stream = random.nextInt(12);
      wire.send(
          switch (random.nextInt(8)) {
            case 0 -> wire.connect(stream | 1);
            case 1 -> Wire.data(stream | 1, payload.length, random.nextBoolean());
            case 2 -> Wire.window(random.nextBoolean() ? 0 : stream, random.nextInt(3000));
            case 3 -> Unpooled.wrappedBuffer(payload);
            default -> {
              int type = random.nextInt(11);
              yield Frame.head(Unpooled.buffer(), payload.length, type, random.nextInt(256), stream)
                  .writeBytes(payload);
            }
          });
      for (Recording events : wire.streams) {
        if (random.nextInt(4) == 0) {
          wire.write(events, random.nextInt(1, 30_000));
        }
        if (random.nextInt(20) == 0) {
          events.stream().end();
        }
      }
      wire.turn();
    }
    assertThat(wire.told).noneMatch(line -> line.startsWith("closed INTERNAL_ERROR"));
    Wire.closeAll();
  }

  private void allGivenBack() {
    assertThat(allocator.metric().usedHeapMemory() + allocator.metric().usedDirectMemory())
        .isZero();
  }
}

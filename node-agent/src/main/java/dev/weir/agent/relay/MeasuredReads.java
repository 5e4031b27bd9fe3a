package dev.weir.agent.relay;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;
import io.netty.channel.RecvByteBufAllocator;
import io.netty.util.UncheckedBooleanSupplier;
import java.util.function.IntSupplier;

/**
 * Reads of at most what can be passed on. How much a connection reads at once is learnt from what
 * it brought before, up to 128 KiB; when its peer stops taking, one more read of that size would
 * stay here for it.
 */
final class MeasuredReads implements RecvByteBufAllocator {
  private final RecvByteBufAllocator learning;
  private final IntSupplier room;

  MeasuredReads(RecvByteBufAllocator learning, IntSupplier room) {
    this.learning = learning;
    this.room = room;
  }

  @Override
  public ExtendedHandle newHandle() {
    return new Measured((ExtendedHandle) learning.newHandle());
  }

  private final class Measured extends DelegatingHandle implements ExtendedHandle {
    private final ExtendedHandle learnt;

    Measured(ExtendedHandle learnt) {
      super(learnt);
      this.learnt = learnt;
    }

    @Override
    public ByteBuf allocate(ByteBufAllocator allocator) {
      return allocator.ioBuffer(guess());
    }

    @Override
    public int guess() {
      return Math.min(learnt.guess(), room.getAsInt());
    }

    @Override
    public boolean continueReading(UncheckedBooleanSupplier maybeMore) {
      return learnt.continueReading(maybeMore);
    }
  }
}

package dev.weir.ffi;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Duration;
import java.util.function.Consumer;

/**
 * The consumer's side of a BPF ring buffer, read where it lies. libbpf's own reader would call back
 * from C for every record, and a sink that throws there ends the process. The layout is the
 * kernel's ABI (Documentation/bpf/ringbuf.rst): a page with the consumer's position, ours to write;
 * a page with the producer's; the data mapped twice in a row, so that no record wraps.
 */
final class MappedRingBuffer implements Bpf.RingBuffer {
  private static final int RINGBUF = 27;
  private static final int BUSY = 1 << 31;
  private static final int DISCARDED = 1 << 30;
  private static final int HEADER = 8;
  private static final int PROT_READ = 1;
  private static final int PROT_WRITE = 2;
  private static final int MAP_SHARED = 1;
  private static final int POLLIN = 1;
  private static final VarHandle POSITION =
      MethodHandles.byteBufferViewVarHandle(long[].class, ByteOrder.nativeOrder());
  private static final VarHandle LENGTH =
      MethodHandles.byteBufferViewVarHandle(int[].class, ByteOrder.nativeOrder());

  private final Calls calls;
  private final Memory memory;
  private final Bpf.BpfMap map;
  private final Consumer<ByteBuffer> sink;
  private final int page;
  private final int size;
  private final long consumerAddress;
  private final long producerAddress;
  private final ByteBuffer consumer;
  private final ByteBuffer producer;
  private final ByteBuffer data;
  private boolean closed;

  private MappedRingBuffer(
      Calls calls,
      Memory memory,
      Bpf.BpfMap map,
      Consumer<ByteBuffer> sink,
      int page,
      long consumer,
      long producer) {
    this.calls = calls;
    this.memory = memory;
    this.map = map;
    this.sink = sink;
    this.page = page;
    this.size = map.maxEntries();
    this.consumerAddress = consumer;
    this.producerAddress = producer;
    this.consumer = calls.view(consumer, page);
    this.producer = calls.view(producer, page);
    this.data = calls.view(producer + page, 2 * size);
  }

  static MappedRingBuffer open(
      Calls calls, Memory memory, Bpf.BpfMap map, Consumer<ByteBuffer> sink) {
    if (map.type() != RINGBUF) {
      throw new IllegalArgumentException(
          "map %s: type %d (expected: %d, a ring buffer)"
              .formatted(map.name(), map.type(), RINGBUF));
    }
    int page = (int) calls.call(Function.GETPAGESIZE);
    long consumer = mapped(calls, map, page, PROT_READ | PROT_WRITE, 0);
    try {
      long producer = mapped(calls, map, page + 2L * map.maxEntries(), PROT_READ, page);
      return new MappedRingBuffer(calls, memory, map, sink, page, consumer, producer);
    } catch (RuntimeException e) {
      calls.call(Function.MUNMAP, consumer, page);
      throw e;
    }
  }

  private static long mapped(Calls calls, Bpf.BpfMap map, long bytes, int protection, long offset) {
    long address = calls.call(Function.MMAP, 0, bytes, protection, MAP_SHARED, map.fd(), offset);
    if (address < 0) {
      throw new KernelException("mmap", (int) -address, "ring buffer " + map.name());
    }
    return address;
  }

  @Override
  public int poll(Duration atMost) {
    if (closed) {
      throw new IllegalStateException(
          "ring buffer %s: closed (expected: open)".formatted(map.name()));
    }
    int records = drain();
    if (records == 0) {
      // Records submitted without a wake-up (BPF_RB_NO_WAKEUP) are there although nothing woke us.
      await(atMost);
      records = drain();
    }
    return records;
  }

  /**
   * What is there now, and not what keeps coming meanwhile: a busy producer must not hold the
   * poller for ever.
   */
  private int drain() {
    int records = 0;
    long end = (long) POSITION.getAcquire(producer, 0);
    long position = (long) POSITION.getAcquire(consumer, 0);
    while (position < end) {
      int at = (int) (position & (size - 1));
      int length = (int) LENGTH.getAcquire(data, at);
      if ((length & BUSY) != 0) {
        break;
      }
      int bytes = length & ~(BUSY | DISCARDED);
      try {
        if ((length & DISCARDED) == 0) {
          records++;
          sink.accept(data.slice(at + HEADER, bytes).order(ByteOrder.nativeOrder()));
        }
      } finally {
        position += (bytes + HEADER + 7) & -8;
        POSITION.setRelease(consumer, 0, position);
      }
    }
    return records;
  }

  private void await(Duration atMost) {
    try (Memory.Frame frame = memory.frame()) {
      Memory.Block pollfd = frame.zeroed(8);
      pollfd.bytes().putInt(0, map.fd()).putShort(4, (short) POLLIN);
      long milliseconds = Math.min(Integer.MAX_VALUE, Math.ceilDiv(atMost.toNanos(), 1_000_000L));
      long result = calls.call(Function.POLL, pollfd.address(), 1, milliseconds);
      if (result < 0 && result != -Errno.EINTR) {
        throw new KernelException("poll", (int) -result, "ring buffer " + map.name());
      }
    }
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      calls.call(Function.MUNMAP, consumerAddress, page);
      calls.call(Function.MUNMAP, producerAddress, page + 2L * size);
    }
  }
}

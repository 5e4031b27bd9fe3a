package dev.weir.ffi;

import org.jspecify.annotations.Nullable;

/** By sched_setattr(2), which glibc before 2.41 has no name for. */
final class LinuxThreads implements Threads {
  private static final boolean ARM = System.getProperty("os.arch").equals("aarch64");
  private static final long SCHED_SETATTR = ARM ? 274 : 314;
  private static final long SCHED_GETATTR = ARM ? 275 : 315;

  /** struct sched_attr as Linux 3.14 had it. */
  private static final int BYTES = 48;

  private static final int CLOCK_THREAD_CPUTIME_ID = 3;

  private static final int NICE = 16;
  private static final int RUNTIME = 24;

  private final Calls calls;
  private final Memory memory;

  LinuxThreads(Calls calls, Memory memory) {
    this.calls = calls;
    this.memory = memory;
  }

  @Override
  public @Nullable Scheduling scheduling() {
    try (Memory.Frame frame = memory.frame()) {
      Memory.Block attributes = frame.zeroed(BYTES);
      return read(attributes)
          ? new Scheduling(attributes.bytes().getInt(NICE), attributes.bytes().getLong(RUNTIME))
          : null;
    }
  }

  @Override
  public boolean schedule(Scheduling wanted) {
    try (Memory.Frame frame = memory.frame()) {
      Memory.Block attributes = frame.zeroed(BYTES);
      // What else it says of the thread stays as it is.
      if (!read(attributes)) {
        return false;
      }
      attributes.bytes().putInt(NICE, wanted.nice()).putLong(RUNTIME, wanted.sliceNanos());
      return calls.call(Function.SYSCALL, SCHED_SETATTR, 0, attributes.address(), 0) == 0;
    }
  }

  @Override
  public long cpuNanos() {
    try (Memory.Frame frame = memory.frame()) {
      Memory.Block time = frame.zeroed(16);
      // It fails for clocks that do not exist, and this one does.
      long _ = calls.call(Function.CLOCK_GETTIME, CLOCK_THREAD_CPUTIME_ID, time.address());
      return time.bytes().getLong(0) * 1_000_000_000 + time.bytes().getLong(8);
    }
  }

  private boolean read(Memory.Block attributes) {
    return calls.call(Function.SYSCALL, SCHED_GETATTR, 0, attributes.address(), BYTES, 0) == 0;
  }
}

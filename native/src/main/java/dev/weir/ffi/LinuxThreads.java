package dev.weir.ffi;

/** By sched_setattr(2), which glibc before 2.41 has no name for. */
final class LinuxThreads implements Threads {
  private static final boolean ARM = System.getProperty("os.arch").equals("aarch64");
  private static final long SCHED_SETATTR = ARM ? 274 : 314;
  private static final long SCHED_GETATTR = ARM ? 275 : 315;

  /** struct sched_attr as Linux 3.14 had it. */
  private static final int BYTES = 48;

  private static final int RUNTIME = 24;

  private final Calls calls;
  private final Memory memory;

  LinuxThreads(Calls calls, Memory memory) {
    this.calls = calls;
    this.memory = memory;
  }

  @Override
  public boolean slice(long nanos) {
    try (Memory.Frame frame = memory.frame()) {
      Memory.Block attributes = frame.zeroed(BYTES);
      // What else it says of the thread, its niceness above all, stays as it is.
      if (calls.call(Function.SYSCALL, SCHED_GETATTR, 0, attributes.address(), BYTES, 0) < 0) {
        return false;
      }
      attributes.bytes().putLong(RUNTIME, nanos);
      return calls.call(Function.SYSCALL, SCHED_SETATTR, 0, attributes.address(), 0) == 0;
    }
  }
}

package dev.weir.ffi;

final class LinuxPipe implements Pipe {
  private static final int O_CLOEXEC = 0x80000;
  private static final int F_SETPIPE_SZ = 1031;
  private static final int SPLICE_F_MOVE = 1;
  private static final int SPLICE_F_NONBLOCK = 2;

  private final Calls calls;
  private final Descriptor out;
  private final Descriptor in;

  private LinuxPipe(Calls calls, Descriptor out, Descriptor in) {
    this.calls = calls;
    this.out = out;
    this.in = in;
  }

  static LinuxPipe open(Calls calls, Memory memory, int bytes) {
    int reads;
    int writes;
    try (Memory.Frame frame = memory.frame()) {
      Memory.Block ends = frame.zeroed(2 * Integer.BYTES);
      long result = calls.call(Function.PIPE2, ends.address(), O_CLOEXEC);
      if (result < 0) {
        throw new KernelException("pipe2", (int) -result, "");
      }
      reads = ends.bytes().getInt(0);
      writes = ends.bytes().getInt(Integer.BYTES);
    }
    // Who has too many large pipes already keeps this one as it is, smaller (pipe(7)).
    long _ = calls.call(Function.FCNTL, writes, F_SETPIPE_SZ, bytes);
    return new LinuxPipe(calls, new Descriptor(calls, reads), new Descriptor(calls, writes));
  }

  @Override
  public int fill(int socket, int most) {
    return splice(socket, in.number(), most);
  }

  @Override
  public int drain(int socket, int most) {
    return splice(out.number(), socket, most);
  }

  private int splice(int from, int to, int most) {
    long moved;
    do {
      moved = calls.call(Function.SPLICE, from, 0, to, 0, most, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    } while (moved == -Errno.EINTR);
    if (moved == -Errno.EAGAIN) {
      return 0;
    }
    if (moved < 0) {
      throw new KernelException("splice", (int) -moved, "from %d to %d".formatted(from, to));
    }
    return (int) moved;
  }

  @Override
  public void close() {
    out.close();
    in.close();
  }
}

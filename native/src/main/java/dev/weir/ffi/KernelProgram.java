package dev.weir.ffi;

import java.nio.file.Path;
import java.time.Duration;
import org.jspecify.annotations.Nullable;

final class KernelProgram implements Bpf.BpfProgram {
  private static final int BPF_PROG_TYPE_SYSCALL = 31;

  /** struct bpf_test_run_opts of bpf.h. */
  private static final int TEST_RUN_OPTIONS = 80;

  /** Room for the headers that a program may push before a packet. */
  private static final int TEST_RUN_GROWTH = 512;

  private final Calls calls;
  private final Memory memory;
  private final int fd;
  private final boolean owner;
  private final String name;
  private final int type;
  private final int id;
  private volatile boolean closed;

  private KernelProgram(Calls calls, Memory memory, int fd, boolean owner, @Nullable String name) {
    this.calls = calls;
    this.memory = memory;
    this.fd = fd;
    this.owner = owner;
    try (Memory.Frame frame = memory.frame()) {
      Memory.Block info = BpfInfo.of(calls, frame, fd);
      this.type = info.bytes().getInt(0);
      this.id = info.bytes().getInt(4);
      this.name = name != null ? name : BpfInfo.name(info.bytes(), 64);
    }
  }

  static KernelProgram owned(Calls calls, Memory memory, int fd) {
    try {
      return new KernelProgram(calls, memory, fd, true, null);
    } catch (RuntimeException e) {
      Descriptor.close(calls, fd);
      throw e;
    }
  }

  static KernelProgram borrowed(Calls calls, Memory memory, int fd, String name) {
    return new KernelProgram(calls, memory, fd, false, name);
  }

  @Override
  public int fd() {
    if (closed) {
      throw new IllegalStateException("program %s: closed (expected: open)".formatted(name));
    }
    return fd;
  }

  @Override
  public int id() {
    return id;
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public Bpf.BpfLink attachCgroup(int cgroupFd, int attachType) {
    return link(cgroupFd, attachType, "cgroup descriptor");
  }

  @Override
  public Bpf.BpfLink attachTcx(int ifindex, int attachType) {
    return link(ifindex, attachType, "interface");
  }

  /**
   * libbpf 1.1 has no bpf_program__attach_tcx, yet passes on attach types that it does not know.
   */
  private Bpf.BpfLink link(int target, int attachType, String kind) {
    long link = calls.call(Function.BPF_LINK_CREATE, fd(), target, attachType, 0);
    if (link < 0) {
      throw new KernelException(
          "bpf_link_create",
          (int) -link,
          "program %s on %s %d, attach type %d".formatted(name, kind, target, attachType));
    }
    return new KernelLink(calls, memory, (int) link);
  }

  @Override
  public void attachToMap(Bpf.BpfMap map, int attachType) {
    check(
        "bpf_prog_attach",
        calls.call(Function.BPF_PROG_ATTACH, fd(), map.fd(), attachType, 0),
        map.name());
  }

  @Override
  public void detachFromMap(Bpf.BpfMap map, int attachType) {
    check(
        "bpf_prog_detach",
        calls.call(Function.BPF_PROG_DETACH, fd(), map.fd(), attachType),
        map.name());
  }

  @Override
  public Bpf.TestRun testRun(byte @Nullable [] dataIn, byte @Nullable [] ctxIn, int repeat) {
    boolean syscall = type == BPF_PROG_TYPE_SYSCALL;
    try (Memory.Frame frame = memory.frame()) {
      Memory.Block options = frame.zeroed(TEST_RUN_OPTIONS);
      options.bytes().putLong(0, TEST_RUN_OPTIONS).putInt(60, syscall ? 0 : repeat);
      Memory.@Nullable Block dataOut = null;
      Memory.@Nullable Block ctxOut = null;
      if (dataIn != null) {
        dataOut = frame.zeroed(dataIn.length + TEST_RUN_GROWTH);
        options
            .bytes()
            .putLong(8, frame.copy(dataIn))
            .putLong(16, dataOut.address())
            .putInt(24, dataIn.length)
            .putInt(28, dataIn.length + TEST_RUN_GROWTH);
      }
      if (ctxIn != null) {
        Memory.Block in = frame.zeroed(ctxIn.length);
        in.bytes().put(0, ctxIn);
        options.bytes().putLong(32, in.address()).putInt(48, ctxIn.length);
        if (syscall) {
          // The kernel writes such a program's context back over the one it was given, and refuses
          // a second buffer.
          ctxOut = in;
        } else {
          ctxOut = frame.zeroed(ctxIn.length);
          options.bytes().putLong(40, ctxOut.address()).putInt(52, ctxIn.length);
        }
      }
      check(
          "bpf_prog_test_run",
          calls.call(Function.BPF_PROG_TEST_RUN, fd(), options.address()),
          "repeat " + repeat);
      return new Bpf.TestRun(
          options.bytes().getInt(56),
          dataOut == null ? new byte[0] : dataOut.copy(0, options.bytes().getInt(28)),
          ctxOut == null
              ? new byte[0]
              : ctxOut.copy(0, syscall ? options.bytes().getInt(48) : options.bytes().getInt(52)),
          Duration.ofNanos(Integer.toUnsignedLong(options.bytes().getInt(64))));
    }
  }

  @Override
  public void pin(Path path) {
    BpfInfo.pin(calls, memory, fd(), path);
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      if (owner) {
        Descriptor.close(calls, fd);
      }
    }
  }

  private void check(String call, long result, String detail) {
    if (result < 0) {
      throw new KernelException(call, (int) -result, "program %s, %s".formatted(name, detail));
    }
  }
}

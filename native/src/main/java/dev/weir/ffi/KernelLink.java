package dev.weir.ffi;

import java.nio.file.Path;

final class KernelLink implements Bpf.BpfLink {
  private final Calls calls;
  private final Memory memory;
  private final int fd;
  private volatile boolean closed;

  KernelLink(Calls calls, Memory memory, int fd) {
    this.calls = calls;
    this.memory = memory;
    this.fd = fd;
  }

  @Override
  public int fd() {
    if (closed) {
      throw new IllegalStateException("link: closed (expected: open)");
    }
    return fd;
  }

  @Override
  public int id() {
    return BpfInfo.id(calls, memory, fd());
  }

  @Override
  public void update(Bpf.BpfProgram program) {
    check(
        "bpf_link_update",
        calls.call(Function.BPF_LINK_UPDATE, fd(), program.fd(), 0),
        "to program " + program.name());
  }

  @Override
  public void pin(Path path) {
    BpfInfo.pin(calls, memory, fd(), path);
  }

  @Override
  public void detach() {
    check("bpf_link_detach", calls.call(Function.BPF_LINK_DETACH, fd()), "link");
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      Descriptor.close(calls, fd);
    }
  }

  private static void check(String call, long result, String detail) {
    if (result < 0) {
      throw new KernelException(call, (int) -result, detail);
    }
  }
}

package dev.weir.ffi;

import java.nio.ByteBuffer;

/**
 * What the kernel knows of a map, program or link: bpf_obj_get_info_by_fd. The structs only ever
 * grow at their end.
 */
final class BpfInfo {
  /** As much of the structs as Weir reads; the kernel fills what it is given room for. */
  private static final int BYTES = 80;

  private BpfInfo() {}

  static Memory.Block of(Calls calls, Memory.Frame frame, int fd) {
    Memory.Block info = frame.zeroed(BYTES);
    Memory.Block size = frame.zeroed(Integer.BYTES);
    size.bytes().putInt(0, BYTES);
    long result = calls.call(Function.BPF_OBJ_INFO, fd, info.address(), size.address());
    if (result < 0) {
      throw new KernelException("bpf_obj_get_info_by_fd", (int) -result, "descriptor " + fd);
    }
    return info;
  }

  /** Maps, programs and links all begin with type and id. */
  static int id(Calls calls, Memory memory, int fd) {
    try (Memory.Frame frame = memory.frame()) {
      return of(calls, frame, fd).bytes().getInt(4);
    }
  }

  /** The 16 bytes of a kernel name. */
  static String name(ByteBuffer info, int offset) {
    return NetlinkMessage.text(info.slice(offset, 16));
  }

  static void pin(Calls calls, Memory memory, int fd, java.nio.file.Path path) {
    try (Memory.Frame frame = memory.frame()) {
      long result = calls.call(Function.BPF_OBJ_PIN, fd, frame.path(path));
      if (result < 0) {
        throw new KernelException("bpf_obj_pin", (int) -result, path.toString());
      }
    }
  }
}

package dev.weir.cli.check;

import dev.weir.ffi.Bpf;
import dev.weir.ffi.Fd;
import dev.weir.ffi.Kernel;
import dev.weir.ffi.Netlink;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.Supplier;

/** Things made to be tried and taken away again. */
final class Throwaway {
  /** {@code r0 = 1; exit}: lets everything pass at every hook that Weir uses. */
  private static final byte[] PASS =
      ByteBuffer.allocate(16)
          .order(ByteOrder.nativeOrder())
          .put((byte) 0xb7)
          .put((byte) 0)
          .putShort((short) 0)
          .putInt(1)
          .put((byte) 0x95)
          .array();

  private Throwaway() {}

  static Bpf.BpfProgram program(Hook hook) {
    return Kernel.instance()
        .bpf()
        .loadProgram(hook.programType, hook.attachType, PASS, "weir_check");
  }

  /** Attaches to a cgroup in which nothing runs. */
  static void attachToCgroup(Hook hook) throws IOException {
    Path folder = Mounts.cgroup2().resolve("weir-check-" + ProcessHandle.current().pid());
    Files.createDirectory(folder);
    try (Fd cgroup = Kernel.instance().namespaces().open(folder);
        Bpf.BpfProgram program = program(hook);
        Bpf.BpfLink link = program.attachCgroup(cgroup.number(), hook.attachType)) {
      link.detach();
    } finally {
      Files.delete(folder);
    }
  }

  /** Attaches to the loopback of a namespace of its own. */
  static void attachToInterface(Hook hook) {
    try (Bpf.BpfProgram program = program(hook)) {
      inNetwork(() -> {
        int loopback =
            Kernel.instance().netlink().interfaces().stream()
                .filter(Netlink.Interface::loopback)
                .mapToInt(Netlink.Interface::index)
                .findFirst()
                .orElseThrow(
                    () -> new IllegalStateException("a new network namespace has no loopback"));
        try (Bpf.BpfLink link = program.attachTcx(loopback, hook.attachType)) {
          link.detach();
        }
        return true;
      });
    }
  }

  static <T> T inNetwork(Supplier<T> work) {
    try (Fd network = Kernel.instance().namespaces().newNetwork()) {
      return Kernel.instance().namespaces().inNetwork(network, work);
    }
  }
}

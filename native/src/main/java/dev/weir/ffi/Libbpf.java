package dev.weir.ffi;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * The door to libbpf; what it opens are {@link ElfObject}, {@link KernelMap}, {@link KernelProgram}
 * and {@link KernelLink}.
 */
final class Libbpf implements Bpf {
  private static final long BPF_FS_MAGIC = 0xcafe4a11L;

  private static final int BPF_PROG_TYPE_CGROUP_SOCK_ADDR = 18;
  private static final int BPF_PROG_TYPE_CGROUP_SOCKOPT = 25;
  private static final int BPF_PROG_TYPE_SK_LOOKUP = 30;
  private static final int BPF_CGROUP_INET4_CONNECT = 10;
  private static final int BPF_CGROUP_GETSOCKOPT = 21;
  private static final int BPF_SK_LOOKUP = 36;
  private static final byte BPF_CALL = (byte) 0x85;
  private static final byte BPF_EXIT = (byte) 0x95;

  /** How verifiers of all ages say that there is no such helper, or none for this type. */
  private static final List<String> NO_SUCH_HELPER =
      List.of("invalid func ", "unknown func ", "program of this type cannot use helper ");

  private static final int INSTRUCTION_BYTES = 8;

  /** struct bpf_prog_load_opts of libbpf 1.0; newer ones only append. */
  private static final int PROGRAM_LOAD_OPTIONS = 104;

  private static final int PROGRAM_LOG_BYTES = 64 * 1024;

  private final Calls calls;
  private final Memory memory;
  private final LibbpfLog log;

  Libbpf(Calls calls, Memory memory) {
    this.calls = calls;
    this.memory = memory;
    this.log = new LibbpfLog(calls, memory);
  }

  @Override
  public String libbpfVersion() {
    String version = Memory.string(calls, calls.call(Function.BPF_VERSION));
    return version.startsWith("v") ? version.substring(1) : version;
  }

  @Override
  public BpfObject open(byte[] elf, String name) {
    return ElfObject.open(calls, memory, log, elf, name);
  }

  @Override
  public BpfProgram loadProgram(
      int programType, int expectedAttachType, byte[] instructions, String name) {
    try (Memory.Frame frame = memory.frame()) {
      Memory.Block said = frame.zeroed(PROGRAM_LOG_BYTES);
      long fd = load(frame, programType, expectedAttachType, instructions, name, said);
      if (fd < 0) {
        String verifier = Memory.string(calls, said.address()).strip();
        throw new KernelException(
            "bpf_prog_load", (int) -fd, verifier.isEmpty() ? name : name + "\n" + verifier);
      }
      return KernelProgram.owned(calls, memory, (int) fd);
    }
  }

  /** libbpf asks for the verifier's log by itself when the load fails. */
  private long load(
      Memory.Frame frame,
      int programType,
      int expectedAttachType,
      byte[] instructions,
      String name,
      Memory.Block said) {
    log.silence();
    Memory.Block options = frame.zeroed(PROGRAM_LOAD_OPTIONS);
    options
        .bytes()
        .putLong(0, PROGRAM_LOAD_OPTIONS)
        .putInt(12, expectedAttachType)
        .putInt(92, PROGRAM_LOG_BYTES)
        .putLong(96, said.address());
    return calls.call(
        Function.BPF_PROG_LOAD,
        programType,
        frame.string(name),
        frame.string("GPL"),
        frame.copy(instructions),
        instructions.length / INSTRUCTION_BYTES,
        options.address());
  }

  @Override
  public Optional<BpfMap> openPinnedMap(Path pin) {
    return pinned(pin).map(fd -> KernelMap.owned(calls, memory, fd));
  }

  @Override
  public Optional<BpfLink> openPinnedLink(Path pin) {
    return pinned(pin).map(fd -> new KernelLink(calls, memory, fd));
  }

  @Override
  public Optional<BpfProgram> openPinnedProgram(Path pin) {
    return pinned(pin).map(fd -> KernelProgram.owned(calls, memory, fd));
  }

  private Optional<Integer> pinned(Path pin) {
    log.silence();
    try (Memory.Frame frame = memory.frame()) {
      long fd = calls.call(Function.BPF_OBJ_GET, frame.path(pin));
      if (fd == -Errno.ENOENT) {
        return Optional.empty();
      }
      if (fd < 0) {
        throw new KernelException("bpf_obj_get", (int) -fd, pin.toString());
      }
      return Optional.of((int) fd);
    }
  }

  /**
   * Calls the helper with no arguments and reads what the verifier dislikes: the arguments, or the
   * helper. libbpf 1.1's own probe does the same but does not know the words of Linux 6.10, and so
   * says yes to everything there.
   */
  @Override
  public boolean helperAvailable(int programType, int helper) {
    int attachType =
        switch (programType) {
          case BPF_PROG_TYPE_CGROUP_SOCK_ADDR -> BPF_CGROUP_INET4_CONNECT;
          case BPF_PROG_TYPE_CGROUP_SOCKOPT -> BPF_CGROUP_GETSOCKOPT;
          case BPF_PROG_TYPE_SK_LOOKUP -> BPF_SK_LOOKUP;
          default -> 0;
        };
    byte[] code =
        ByteBuffer.allocate(2 * INSTRUCTION_BYTES)
            .order(ByteOrder.nativeOrder())
            .put(0, BPF_CALL)
            .putInt(4, helper)
            .put(INSTRUCTION_BYTES, BPF_EXIT)
            .array();
    try (Memory.Frame frame = memory.frame()) {
      Memory.Block said = frame.zeroed(PROGRAM_LOG_BYTES);
      long fd = load(frame, programType, attachType, code, "probe_helper", said);
      if (fd >= 0) {
        Descriptor.close(calls, (int) fd);
        return true;
      }
      String verifier = Memory.string(calls, said.address());
      if (verifier.isEmpty()) {
        throw new KernelException(
            "bpf_prog_load",
            (int) -fd,
            "probe of helper %d in program type %d".formatted(helper, programType));
      }
      return NO_SUCH_HELPER.stream().noneMatch(verifier::contains);
    }
  }

  @Override
  public boolean programTypeAvailable(int programType) {
    log.silence();
    return probed(
        calls.call(Function.BPF_PROBE_PROGRAM_TYPE, programType, 0), "program type " + programType);
  }

  @Override
  public boolean mapTypeAvailable(int mapType) {
    log.silence();
    return probed(calls.call(Function.BPF_PROBE_MAP_TYPE, mapType, 0), "map type " + mapType);
  }

  private static boolean probed(long result, String what) {
    if (result < 0) {
      throw new KernelException("libbpf probe", (int) -result, what);
    }
    return result > 0;
  }

  @Override
  public void mountBpffs(Path directory) {
    try (Memory.Frame frame = memory.frame()) {
      Files.createDirectories(directory);
      Memory.Block statfs = frame.zeroed(256);
      long path = frame.path(directory);
      long result = calls.call(Function.STATFS, path, statfs.address());
      if (result < 0) {
        throw new KernelException("statfs", (int) -result, directory.toString());
      }
      if (statfs.bytes().getLong(0) == BPF_FS_MAGIC) {
        return;
      }
      long type = frame.string("bpf");
      long mounted = calls.call(Function.MOUNT, type, path, type, 0, frame.string("mode=0700"));
      if (mounted < 0) {
        throw new KernelException(
            "mount",
            (int) -mounted,
            "bpffs on %s: needs root and a kernel with BPF".formatted(directory));
      }
    } catch (IOException e) {
      KernelException failed =
          new KernelException("mkdir", Errno.EACCES, "%s: %s".formatted(directory, e.getMessage()));
      failed.initCause(e);
      throw failed;
    }
  }

  @Override
  public RingBuffer ringBuffer(BpfMap map, Consumer<ByteBuffer> sink) {
    return MappedRingBuffer.open(calls, memory, map, sink);
  }
}

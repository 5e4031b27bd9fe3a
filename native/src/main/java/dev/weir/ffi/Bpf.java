package dev.weir.ffi;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * eBPF by libbpf. Keys and values are the bytes of the C structs, native byte order; every failure
 * is a {@link KernelException}.
 */
public interface Bpf {

  /** The running libbpf, such as {@code 1.1}. */
  String libbpfVersion();

  /** Parses an ELF object; nothing is in the kernel yet. */
  BpfObject open(byte[] elf, String name);

  /**
   * Loads one program of hand-made instructions (struct bpf_insn, license GPL), for probes of what
   * a kernel takes. On failure the exception's message ends with the verifier's log.
   */
  BpfProgram loadProgram(int programType, int expectedAttachType, byte[] instructions, String name);

  /** A pinned map, or empty where no such pin is. */
  Optional<BpfMap> openPinnedMap(Path pin);

  /** A pinned link, or empty where no such pin is. */
  Optional<BpfLink> openPinnedLink(Path pin);

  /** A pinned program, or empty where no such pin is. */
  Optional<BpfProgram> openPinnedProgram(Path pin);

  /**
   * Whether programs of {@code programType} (BPF_PROG_TYPE_*) may call {@code helper} (BPF_FUNC_*)
   * on this kernel.
   */
  boolean helperAvailable(int programType, int helper);

  boolean programTypeAvailable(int programType);

  boolean mapTypeAvailable(int mapType);

  /** Mounts a bpffs at {@code directory} unless one is there. */
  void mountBpffs(Path directory);

  /** Reads a ring buffer map; the sink sees each record once, on the thread that polls. */
  RingBuffer ringBuffer(BpfMap map, Consumer<ByteBuffer> sink);

  /**
   * An opened object: maps and programs can be prepared, then loaded together. Close frees what no
   * pin or link holds.
   */
  interface BpfObject extends AutoCloseable {
    /**
     * Before load: bytes of a {@code const volatile} global by its symbol's name in {@code
     * .rodata}.
     */
    void setGlobal(String symbol, byte[] value);

    /**
     * Before load: use this map in place of one of our own. Throws where type, key or value size
     * differ.
     */
    void reuseMap(String name, BpfMap existing);

    /** Before load: overrides max_entries. */
    void resizeMap(String name, int maxEntries);

    /** Before load: leave this program out. */
    void skipProgram(String name);

    /**
     * Before load: what the verifier is to write on success too: 1 its steps, 2 all states, 4 one
     * line of statistics. Unless asked, nothing.
     */
    void logLevel(int level);

    /** Into the kernel. On failure the exception's message ends with the verifier's log. */
    void load();

    /** After load: the verifier's log by program, empty strings when it had nothing to say. */
    Map<String, String> verifierLogs();

    BpfMap map(String name);

    BpfProgram program(String name);

    List<String> mapNames();

    List<String> programNames();

    @Override
    void close();
  }

  interface BpfMap extends AutoCloseable {
    int fd();

    int id();

    String name();

    int type();

    int keySize();

    int valueSize();

    int maxEntries();

    /** The value (all CPUs' values, each padded to 8 bytes, for a per-CPU map), or null. */
    byte @Nullable [] lookup(byte[] key);

    /** flags: 0 any, 1 only if absent, 2 only if present. */
    void update(byte[] key, byte[] value, long flags);

    default void update(byte[] key, byte[] value) {
      update(key, value, 0);
    }

    /** False where there was no such key. */
    boolean delete(byte[] key);

    /** Looks up and deletes in one call, or null; a hash map, from Linux 5.14. */
    byte @Nullable [] take(byte[] key);

    /**
     * All entries, in no order; entries that come and go meanwhile may be missed. Batched where the
     * kernel can.
     */
    void forEach(BiConsumer<byte[], byte[]> entry);

    /** The values of a BPF_F_MMAPABLE array, shared with the kernel; unmapped at close. */
    ByteBuffer mmap();

    void pin(Path path);

    @Override
    void close();
  }

  interface BpfProgram extends AutoCloseable {
    int fd();

    int id();

    String name();

    /** A link on a cgroup2 folder; attachType is BPF_CGROUP_* as in linux/bpf.h. */
    BpfLink attachCgroup(int cgroupFd, int attachType);

    /** A tcx link on an interface of the calling thread's network namespace; needs Linux 6.6. */
    BpfLink attachTcx(int ifindex, int attachType);

    /** Attachment without a link for programs that a map owns (sk_msg verdict on SOCKHASH). */
    void attachToMap(BpfMap map, int attachType);

    void detachFromMap(BpfMap map, int attachType);

    TestRun testRun(byte @Nullable [] dataIn, byte @Nullable [] ctxIn, int repeat);

    void pin(Path path);

    @Override
    void close();
  }

  /** What BPF_PROG_TEST_RUN gave back; compared by nobody, so arrays do. */
  @SuppressWarnings("ArrayRecordComponent")
  record TestRun(int retval, byte[] dataOut, byte[] ctxOut, Duration each) {}

  interface BpfLink extends AutoCloseable {
    int fd();

    int id();

    /** Swaps the program under a standing link: no gap. */
    void update(BpfProgram program);

    void pin(Path path);

    /** Detaches now, whoever else holds the link. */
    void detach();

    /** Gives back the descriptor; a pinned link stays attached. */
    @Override
    void close();
  }

  interface RingBuffer extends AutoCloseable {
    /**
     * Hands over what is there, waiting at most so long for the first; returns how many records.
     */
    int poll(Duration atMost);

    @Override
    void close();
  }
}

package dev.weir.ffi;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * A bpf_object. One thread prepares, loads and closes it; between, any may ask for its maps and
 * programs.
 */
final class ElfObject implements Bpf.BpfObject {
  private static final int PROT_READ = 1;
  private static final int PROT_WRITE = 2;
  private static final int MAP_PRIVATE = 2;
  private static final int MAP_ANONYMOUS = 0x20;

  /** Untouched pages cost nothing, and a log that is cut short hides the line that matters. */
  private static final int LOG_BYTES = 4 << 20;

  private static final int EXCEPTION_LOG_CHARACTERS = 16 * 1024;

  private static final int BTF_KIND_DATASEC = 15;
  private static final int BTF_TYPE = 12;
  private static final List<String> GLOBAL_SECTIONS = List.of(".rodata", ".data", ".bss");

  private final Calls calls;
  private final Memory memory;
  private final LibbpfLog log;
  private final String name;
  private final long object;
  private final Map<String, Long> maps = new LinkedHashMap<>();
  private final Map<String, Long> programs = new LinkedHashMap<>();
  private final Map<String, KernelMap> openMaps = new ConcurrentHashMap<>();
  private final Map<String, KernelProgram> openPrograms = new ConcurrentHashMap<>();
  private final Map<String, Long> logBuffers = new LinkedHashMap<>();
  private final Map<String, String> verifierLogs = new LinkedHashMap<>();
  private volatile boolean loaded;
  private volatile boolean closed;

  private ElfObject(Calls calls, Memory memory, LibbpfLog log, String name, long object) {
    this.calls = calls;
    this.memory = memory;
    this.log = log;
    this.name = name;
    this.object = object;
    collect(Function.BPF_OBJECT_NEXT_MAP, Function.BPF_MAP_NAME, maps);
    collect(Function.BPF_OBJECT_NEXT_PROGRAM, Function.BPF_PROGRAM_NAME, programs);
  }

  static ElfObject open(Calls calls, Memory memory, LibbpfLog log, byte[] elf, String name) {
    log.listen();
    long object = 0;
    String heard = "";
    try (Memory.Frame frame = memory.frame()) {
      // struct bpf_object_open_opts: sz, object_name, and what an older caller leaves out.
      Memory.Block options = frame.zeroed(16);
      options.bytes().putLong(0, 16).putLong(8, frame.string(name));
      object =
          calls.call(Function.BPF_OBJECT_OPEN_MEM, frame.copy(elf), elf.length, options.address());
    } finally {
      heard = log.heard();
    }
    if (object < 0 && object > -4096) {
      throw new KernelException(
          "bpf_object__open", (int) -object, heard.isEmpty() ? name : name + "\n" + heard);
    }
    return new ElfObject(calls, memory, log, name, object);
  }

  private void collect(Function next, Function nameOf, Map<String, Long> into) {
    for (long each = calls.call(next, object, 0);
        each != 0;
        each = calls.call(next, object, each)) {
      into.put(Memory.string(calls, calls.call(nameOf, each)), each);
    }
  }

  @Override
  public void setGlobal(String symbol, byte[] value) {
    beforeLoad();
    for (String section : GLOBAL_SECTIONS) {
      long at = variable(section, symbol, value.length);
      if (at >= 0) {
        initialValue(section).put((int) at, value);
        return;
      }
    }
    throw new IllegalArgumentException(
        "global %s: not in %s (expected: a variable of .rodata, .data or .bss)"
            .formatted(symbol, name));
  }

  /**
   * A variable's offset in its section by BTF, or -1. libbpf fills in the offsets when it opens the
   * object.
   */
  private long variable(String section, String symbol, int length) {
    long btf = calls.call(Function.BPF_OBJECT_BTF, object);
    if (btf == 0) {
      throw new IllegalArgumentException("%s: no BTF (expected: compiled with -g)".formatted(name));
    }
    long id;
    try (Memory.Frame frame = memory.frame()) {
      id = calls.call(Function.BPF_BTF_FIND, btf, frame.string(section), BTF_KIND_DATASEC);
    }
    if (id < 0) {
      return -1;
    }
    long address = calls.call(Function.BPF_BTF_TYPE, btf, id);
    // struct btf_type: name_off, info (vlen in its low half), size; then vlen of struct
    // btf_var_secinfo: type, offset, size.
    int variables = calls.view(address, BTF_TYPE).getInt(4) & 0xffff;
    ByteBuffer entries = calls.view(address + BTF_TYPE, variables * BTF_TYPE);
    for (int i = 0; i < variables; i++) {
      int type = entries.getInt(i * BTF_TYPE);
      int nameOffset = calls.view(calls.call(Function.BPF_BTF_TYPE, btf, type), BTF_TYPE).getInt(0);
      if (Memory.string(calls, calls.call(Function.BPF_BTF_NAME, btf, nameOffset)).equals(symbol)) {
        int size = entries.getInt(i * BTF_TYPE + 8);
        if (size != length) {
          throw new IllegalArgumentException(
              "global %s: %d bytes (expected: %d)".formatted(symbol, length, size));
        }
        return Integer.toUnsignedLong(entries.getInt(i * BTF_TYPE + 4));
      }
    }
    return -1;
  }

  private ByteBuffer initialValue(String section) {
    long map =
        maps.entrySet().stream()
            .filter(each -> each.getKey().endsWith(section))
            .mapToLong(Map.Entry::getValue)
            .findFirst()
            .orElseThrow(() ->
                new IllegalArgumentException("%s: no map for section %s".formatted(name, section)));
    try (Memory.Frame frame = memory.frame()) {
      Memory.Block size = frame.zeroed(Long.BYTES);
      long address = calls.call(Function.BPF_MAP_INITIAL_VALUE, map, size.address());
      if (address == 0) {
        throw new IllegalStateException("%s: section %s is not in memory".formatted(name, section));
      }
      return calls.view(address, (int) size.bytes().getLong(0));
    }
  }

  @Override
  public void reuseMap(String mapName, Bpf.BpfMap existing) {
    beforeLoad();
    long map = handle(maps, "map", mapName);
    differs(mapName, "type", calls.call(Function.BPF_MAP_TYPE, map), existing.type());
    differs(mapName, "key size", calls.call(Function.BPF_MAP_KEY_SIZE, map), existing.keySize());
    differs(
        mapName, "value size", calls.call(Function.BPF_MAP_VALUE_SIZE, map), existing.valueSize());
    check("bpf_map__reuse_fd", calls.call(Function.BPF_MAP_REUSE_FD, map, existing.fd()), mapName);
  }

  private void differs(String mapName, String what, long ours, int theirs) {
    if (ours != theirs) {
      throw new KernelException(
          "reuse map",
          Errno.EINVAL,
          "%s of %s: its %s is %d (expected: %d)".formatted(mapName, name, what, theirs, ours));
    }
  }

  @Override
  public void resizeMap(String mapName, int maxEntries) {
    beforeLoad();
    check(
        "bpf_map__set_max_entries",
        calls.call(Function.BPF_MAP_SET_MAX_ENTRIES, handle(maps, "map", mapName), maxEntries),
        mapName);
  }

  @Override
  public void skipProgram(String programName) {
    beforeLoad();
    check(
        "bpf_program__set_autoload",
        calls.call(Function.BPF_PROGRAM_SET_AUTOLOAD, handle(programs, "program", programName), 0),
        programName);
  }

  @Override
  public void logLevel(int level) {
    beforeLoad();
    programs.values().forEach(each -> calls.call(Function.BPF_PROGRAM_SET_LOG_LEVEL, each, level));
  }

  @Override
  public void load() {
    beforeLoad();
    loaded = true;
    programs.forEach(this::giveLogBuffer);
    log.listen();
    long result = 0;
    String heard = "";
    try {
      result = calls.call(Function.BPF_OBJECT_LOAD, object);
    } finally {
      heard = log.heard();
      readLogs();
    }
    if (result < 0) {
      StringBuilder detail = new StringBuilder(name);
      if (!heard.isEmpty()) {
        detail.append('\n').append(heard);
      }
      verifierLogs.forEach((program, said) -> {
        if (!said.isEmpty()) {
          detail.append("\nverifier's log of ").append(program).append(":\n").append(tail(said));
        }
      });
      throw new KernelException("bpf_object__load", (int) -result, detail.toString());
    }
  }

  /** The verifier tells its verdict last; all of what it said is in {@link #verifierLogs}. */
  private static String tail(String said) {
    if (said.length() <= EXCEPTION_LOG_CHARACTERS) {
      return said;
    }
    int start = said.indexOf('\n', said.length() - EXCEPTION_LOG_CHARACTERS);
    return "…" + said.substring(Math.max(start, said.length() - EXCEPTION_LOG_CHARACTERS));
  }

  private void giveLogBuffer(String programName, long program) {
    long buffer =
        calls.call(
            Function.MMAP,
            0,
            LOG_BYTES,
            PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS,
            -1,
            0);
    check("mmap", buffer, "a verifier log");
    logBuffers.put(programName, buffer);
    check(
        "bpf_program__set_log_buf",
        calls.call(Function.BPF_PROGRAM_SET_LOG_BUFFER, program, buffer, LOG_BYTES),
        programName);
  }

  /** Takes the logs out and gives the buffers back; libbpf forgets them with the load. */
  private void readLogs() {
    logBuffers.forEach((programName, buffer) -> {
      verifierLogs.put(programName, Memory.string(calls, buffer, LOG_BYTES).strip());
      calls.call(
          Function.BPF_PROGRAM_SET_LOG_BUFFER, handle(programs, "program", programName), 0, 0);
      calls.call(Function.MUNMAP, buffer, LOG_BYTES);
    });
    logBuffers.clear();
  }

  @Override
  public Map<String, String> verifierLogs() {
    return Map.copyOf(verifierLogs);
  }

  @Override
  public Bpf.BpfMap map(String mapName) {
    long map = handle(maps, "map", mapName);
    afterLoad();
    return openMaps.computeIfAbsent(
        mapName,
        _ ->
            KernelMap.borrowed(
                calls, memory, fd("bpf_map__fd", Function.BPF_MAP_FD, map, mapName), mapName));
  }

  @Override
  public Bpf.BpfProgram program(String programName) {
    long program = handle(programs, "program", programName);
    afterLoad();
    return openPrograms.computeIfAbsent(
        programName,
        _ ->
            KernelProgram.borrowed(
                calls,
                memory,
                fd("bpf_program__fd", Function.BPF_PROGRAM_FD, program, programName),
                programName));
  }

  private int fd(String call, Function function, long handle, String what) {
    long fd = calls.call(function, handle);
    // libbpf says -1 or an errno where it was left out of the load.
    if (fd < 0) {
      throw new KernelException(
          call, Errno.ENOENT, "%s of %s was not loaded".formatted(what, name));
    }
    return (int) fd;
  }

  @Override
  public List<String> mapNames() {
    return new ArrayList<>(maps.keySet());
  }

  @Override
  public List<String> programNames() {
    return new ArrayList<>(programs.keySet());
  }

  private long handle(Map<String, Long> among, String kind, String wanted) {
    Long handle = among.get(wanted);
    if (closed) {
      throw new IllegalStateException(name + ": closed (expected: open)");
    }
    if (handle == null) {
      throw new IllegalArgumentException(
          "%s %s: not in %s (expected one of: %s)".formatted(kind, wanted, name, among.keySet()));
    }
    return handle;
  }

  private void beforeLoad() {
    if (loaded || closed) {
      throw new IllegalStateException(
          "%s: %s (expected: opened, not loaded)".formatted(name, closed ? "closed" : "loaded"));
    }
  }

  private void afterLoad() {
    if (!loaded) {
      throw new IllegalStateException(name + ": not loaded (expected: loaded)");
    }
  }

  private static void check(String call, long result, String detail) {
    if (result < 0) {
      throw new KernelException(call, (int) -result, detail);
    }
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      openMaps.values().forEach(Bpf.BpfMap::close);
      openPrograms.values().forEach(Bpf.BpfProgram::close);
      calls.call(Function.BPF_OBJECT_CLOSE, object);
    }
  }
}

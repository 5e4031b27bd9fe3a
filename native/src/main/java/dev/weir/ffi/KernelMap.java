package dev.weir.ffi;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.function.BiConsumer;
import org.jspecify.annotations.Nullable;

/** A map by its descriptor; any thread may use it, one closes it. */
final class KernelMap implements Bpf.BpfMap {
  private static final int PERCPU_HASH = 5;
  private static final int PERCPU_ARRAY = 6;
  private static final int LRU_PERCPU_HASH = 10;
  private static final int PERCPU_CGROUP_STORAGE = 21;

  private static final int PROT_READ = 1;
  private static final int PROT_WRITE = 2;
  private static final int MAP_SHARED = 1;
  private static final int BATCH = 256;

  private final Calls calls;
  private final Memory memory;
  private final int fd;
  private final boolean owner;
  private final String name;
  private final int type;
  private final int id;
  private final int keySize;
  private final int valueSize;
  private final int maxEntries;

  /**
   * A value as bpf(2) copies it: for a per-CPU map one for each possible CPU, each padded to eight.
   */
  private final int copiedBytes;

  private long mapping;
  private int mappedBytes;
  private volatile boolean closed;

  private KernelMap(Calls calls, Memory memory, int fd, boolean owner, @Nullable String name) {
    this.calls = calls;
    this.memory = memory;
    this.fd = fd;
    this.owner = owner;
    try (Memory.Frame frame = memory.frame()) {
      ByteBuffer info = BpfInfo.of(calls, frame, fd).bytes();
      this.type = info.getInt(0);
      this.id = info.getInt(4);
      this.keySize = info.getInt(8);
      this.valueSize = info.getInt(12);
      this.maxEntries = info.getInt(16);
      this.name = name != null ? name : BpfInfo.name(info, 24);
    }
    this.copiedBytes =
        switch (type) {
          case PERCPU_HASH, PERCPU_ARRAY, LRU_PERCPU_HASH, PERCPU_CGROUP_STORAGE ->
              Math.toIntExact(padded(valueSize) * calls.call(Function.BPF_POSSIBLE_CPUS));
          default -> valueSize;
        };
  }

  static KernelMap owned(Calls calls, Memory memory, int fd) {
    try {
      return new KernelMap(calls, memory, fd, true, null);
    } catch (RuntimeException e) {
      Descriptor.close(calls, fd);
      throw e;
    }
  }

  static KernelMap borrowed(Calls calls, Memory memory, int fd, String name) {
    return new KernelMap(calls, memory, fd, false, name);
  }

  private static long padded(int bytes) {
    return (bytes + 7L) & -8;
  }

  @Override
  public int fd() {
    if (closed) {
      throw new IllegalStateException("map %s: closed (expected: open)".formatted(name));
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
  public int type() {
    return type;
  }

  @Override
  public int keySize() {
    return keySize;
  }

  @Override
  public int valueSize() {
    return valueSize;
  }

  @Override
  public int maxEntries() {
    return maxEntries;
  }

  @Override
  public byte @Nullable [] lookup(byte[] key) {
    return value(Function.BPF_MAP_LOOKUP, key);
  }

  @Override
  public byte @Nullable [] take(byte[] key) {
    return value(Function.BPF_MAP_LOOKUP_AND_DELETE, key);
  }

  private byte @Nullable [] value(Function function, byte[] key) {
    expect("key", key.length, keySize);
    try (Memory.Frame frame = memory.frame()) {
      Memory.Block value = frame.zeroed(copiedBytes);
      long result = calls.call(function, fd(), frame.copy(key), value.address());
      if (result == -Errno.ENOENT) {
        return null;
      }
      check(function.symbol, result);
      return value.copy(0, copiedBytes);
    }
  }

  @Override
  public void update(byte[] key, byte[] value, long flags) {
    expect("key", key.length, keySize);
    expect("value", value.length, copiedBytes);
    try (Memory.Frame frame = memory.frame()) {
      check(
          "bpf_map_update_elem",
          calls.call(Function.BPF_MAP_UPDATE, fd(), frame.copy(key), frame.copy(value), flags));
    }
  }

  @Override
  public boolean delete(byte[] key) {
    expect("key", key.length, keySize);
    try (Memory.Frame frame = memory.frame()) {
      long result = calls.call(Function.BPF_MAP_DELETE, fd(), frame.copy(key));
      if (result == -Errno.ENOENT) {
        return false;
      }
      check("bpf_map_delete_elem", result);
      return true;
    }
  }

  @Override
  public void forEach(BiConsumer<byte[], byte[]> entry) {
    if (!batched(entry)) {
      oneByOne(entry);
    }
  }

  /**
   * One system call for many entries. A bucket that holds more than fit is ENOSPC with nothing
   * read, and then twice the room is tried. False, before any entry was given, where the map's type
   * has no batches.
   */
  private boolean batched(BiConsumer<byte[], byte[]> entry) {
    int room = BATCH;
    // The kernel's mark of how far it came: a bucket number or, in an LPM trie, a key.
    byte[] progress = new byte[Math.max(keySize, Integer.BYTES)];
    boolean begun = false;
    while (true) {
      try (Memory.Frame frame = memory.frame()) {
        Memory.Block reached = frame.zeroed(progress.length);
        Memory.Block keys = frame.zeroed(Math.multiplyExact(room, keySize));
        Memory.Block values = frame.zeroed(Math.multiplyExact(room, copiedBytes));
        Memory.Block count = frame.zeroed(Integer.BYTES);
        count.bytes().putInt(0, room);
        long result =
            calls.call(
                Function.BPF_MAP_LOOKUP_BATCH,
                fd(),
                begun ? frame.copy(progress) : 0,
                reached.address(),
                keys.address(),
                values.address(),
                count.address(),
                0);
        if (!begun
            && (result == -Errno.EINVAL
                || result == -Errno.ENOTSUPP
                || result == -Errno.EOPNOTSUPP)) {
          return false;
        }
        if (result == -Errno.ENOSPC) {
          room = Math.multiplyExact(room, 2);
          continue;
        }
        if (result != -Errno.ENOENT) {
          check("bpf_map_lookup_batch", result);
        }
        int read = count.bytes().getInt(0);
        for (int i = 0; i < read; i++) {
          entry.accept(keys.copy(i * keySize, keySize), values.copy(i * copiedBytes, copiedBytes));
        }
        if (result == -Errno.ENOENT) {
          return true;
        }
        begun = true;
        reached.bytes().get(0, progress);
      }
    }
  }

  /**
   * The kernel restarts from the beginning at a key that has gone, so no more keys are followed
   * than the map can hold.
   */
  private void oneByOne(BiConsumer<byte[], byte[]> entry) {
    byte[] key = new byte[keySize];
    boolean begun = false;
    for (long followed = 0; followed < maxEntries; followed++) {
      try (Memory.Frame frame = memory.frame()) {
        Memory.Block next = frame.zeroed(keySize);
        long result =
            calls.call(
                Function.BPF_MAP_NEXT_KEY, fd(), begun ? frame.copy(key) : 0, next.address());
        if (result == -Errno.ENOENT) {
          return;
        }
        check("bpf_map_get_next_key", result);
        begun = true;
        next.bytes().get(0, key);
      }
      byte[] value = lookup(key);
      if (value != null) {
        entry.accept(key.clone(), value);
      }
    }
  }

  @Override
  public synchronized ByteBuffer mmap() {
    if (mapping == 0) {
      int page = (int) calls.call(Function.GETPAGESIZE);
      mappedBytes = Math.toIntExact((padded(valueSize) * maxEntries + page - 1) / page * page);
      long address =
          calls.call(Function.MMAP, 0, mappedBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd(), 0);
      if (address == -Errno.EPERM) {
        // A frozen map, such as .rodata after load, can still be read.
        address = calls.call(Function.MMAP, 0, mappedBytes, PROT_READ, MAP_SHARED, fd(), 0);
      }
      check("mmap", address);
      mapping = address;
    }
    return calls.view(mapping, Math.toIntExact(padded(valueSize) * maxEntries));
  }

  @Override
  public void pin(Path path) {
    BpfInfo.pin(calls, memory, fd(), path);
  }

  @Override
  public synchronized void close() {
    if (closed) {
      return;
    }
    closed = true;
    if (mapping != 0) {
      calls.call(Function.MUNMAP, mapping, mappedBytes);
      mapping = 0;
    }
    if (owner) {
      Descriptor.close(calls, fd);
    }
  }

  private void expect(String what, int got, int expected) {
    if (got != expected) {
      throw new IllegalArgumentException(
          "%s of map %s: %d bytes (expected: %d)".formatted(what, name, got, expected));
    }
  }

  private void check(String call, long result) {
    if (result < 0) {
      throw new KernelException(call, (int) -result, "map " + name);
    }
  }
}

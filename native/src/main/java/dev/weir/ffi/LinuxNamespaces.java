package dev.weir.ffi;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.function.Supplier;

final class LinuxNamespaces implements Namespaces {
  static final int CLONE_FS = 0x200;
  static final int CLONE_NEWNS = 0x20000;
  static final int CLONE_NEWNET = 0x40000000;

  private static final int O_RDONLY = 0;
  private static final int O_CLOEXEC = 0x80000;
  private static final long MS_REC = 0x4000;
  private static final long MS_PRIVATE = 0x40000;
  private static final int SOL_SOCKET = 1;
  private static final int SO_NETNS_COOKIE = 71;
  private static final int LOOPBACK = 1;
  private static final int EXIT_SOFTWARE = 70;

  private final Calls calls;
  private final Memory memory;
  private final Netlink netlink;

  /** The path as C wants it, written once: it is opened for every socket made in a pod. */
  private final ByteBuffer here;

  private final long hereAddress;

  LinuxNamespaces(Calls calls, Memory memory, Netlink netlink) {
    this.calls = calls;
    this.memory = memory;
    this.netlink = netlink;
    byte[] path = "/proc/thread-self/ns/net\0".getBytes(StandardCharsets.US_ASCII);
    this.here = ByteBuffer.allocateDirect(path.length).put(0, path);
    this.hereAddress = calls.address(here);
  }

  @Override
  public Fd open(Path path) {
    try (Memory.Frame frame = memory.frame()) {
      long number = calls.call(Function.OPEN, frame.path(path), O_RDONLY | O_CLOEXEC);
      if (number < 0) {
        throw new KernelException("open", (int) -number, path.toString());
      }
      return new Descriptor(calls, (int) number);
    }
  }

  @Override
  public Fd current() {
    return new Descriptor(calls, openHere());
  }

  private int openHere() {
    refuseVirtual();
    long number = calls.call(Function.OPEN, hereAddress, O_RDONLY | O_CLOEXEC);
    if (number < 0) {
      throw new KernelException("open", (int) -number, "/proc/thread-self/ns/net");
    }
    return (int) number;
  }

  @Override
  public void enter(Fd namespace, int kind) {
    refuseVirtual();
    if (kind == CLONE_NEWNS) {
      // The threads of a JVM share their root and working directory, and the kernel moves no thread
      // that shares them.
      check(Function.UNSHARE, calls.call(Function.UNSHARE, CLONE_FS), "CLONE_FS");
    }
    check(
        Function.SETNS,
        calls.call(Function.SETNS, namespace.number(), kind),
        "kind 0x" + Integer.toHexString(kind));
  }

  @Override
  public <T> T inNetwork(Fd namespace, Supplier<T> work) {
    int home = openHere();
    boolean away = false;
    try {
      check(
          Function.SETNS,
          calls.call(Function.SETNS, namespace.number(), CLONE_NEWNET),
          "network namespace");
      away = true;
      return work.get();
    } finally {
      if (away) {
        comeHome(home);
      }
      Descriptor.close(calls, home);
    }
  }

  private void comeHome(int home) {
    long back = calls.call(Function.SETNS, home, CLONE_NEWNET);
    if (back < 0) {
      System.err.printf(
          "ERROR native: setns home failed, halting rather than sending from the wrong pod: errno=%s%n",
          Errno.name((int) -back));
      Runtime.getRuntime().halt(EXIT_SOFTWARE);
    }
  }

  @Override
  public Fd newNetwork() {
    int home = openHere();
    boolean away = false;
    try {
      check(Function.UNSHARE, calls.call(Function.UNSHARE, CLONE_NEWNET), "CLONE_NEWNET");
      away = true;
      netlink.setUp(LOOPBACK);
      return current();
    } finally {
      if (away) {
        comeHome(home);
      }
      Descriptor.close(calls, home);
    }
  }

  @Override
  public void unshareMounts() {
    refuseVirtual();
    check(Function.UNSHARE, calls.call(Function.UNSHARE, CLONE_NEWNS), "CLONE_NEWNS");
    mount("none", Path.of("/"), "", MS_REC | MS_PRIVATE, "");
  }

  @Override
  public void mount(String source, Path target, String type, long flags, String data) {
    try (Memory.Frame frame = memory.frame()) {
      long result =
          calls.call(
              Function.MOUNT,
              frame.string(source),
              frame.path(target),
              type.isEmpty() ? 0 : frame.string(type),
              flags,
              data.isEmpty() ? 0 : frame.string(data));
      check(
          Function.MOUNT,
          result,
          "%s on %s type %s flags 0x%x %s".formatted(source, target, type, flags, data));
    }
  }

  @Override
  public void unmount(Path target, int flags) {
    try (Memory.Frame frame = memory.frame()) {
      check(
          Function.UMOUNT2,
          calls.call(Function.UMOUNT2, frame.path(target), flags),
          target.toString());
    }
  }

  @Override
  public long cookie(Fd networkNamespace) {
    return inNetwork(networkNamespace, this::cookieHere);
  }

  private long cookieHere() {
    long socket =
        calls.call(
            Function.SOCKET,
            LinuxSockets.AF_UNIX,
            LinuxSockets.SOCK_DGRAM | LinuxSockets.SOCK_CLOEXEC,
            0);
    check(Function.SOCKET, socket, "AF_UNIX");
    try (Memory.Frame frame = memory.frame()) {
      Memory.Block value = frame.zeroed(Long.BYTES);
      Memory.Block size = frame.zeroed(Integer.BYTES);
      size.bytes().putInt(0, Long.BYTES);
      long result =
          calls.call(
              Function.GETSOCKOPT,
              socket,
              SOL_SOCKET,
              SO_NETNS_COOKIE,
              value.address(),
              size.address());
      check(Function.GETSOCKOPT, result, "SO_NETNS_COOKIE needs Linux 5.14");
      return value.bytes().getLong(0);
    } finally {
      Descriptor.close(calls, (int) socket);
    }
  }

  @Override
  public long inode(Fd namespace) {
    try (Memory.Frame frame = memory.frame()) {
      // struct stat is 144 bytes on x86-64 and 128 on aarch64; st_ino is its second long on both.
      Memory.Block stat = frame.zeroed(256);
      check(
          Function.FSTAT,
          calls.call(Function.FSTAT, namespace.number(), stat.address()),
          namespace.toString());
      return stat.bytes().getLong(8);
    }
  }

  private static void refuseVirtual() {
    if (Thread.currentThread().isVirtual()) {
      throw new IllegalStateException(
          "namespaces: virtual thread (expected: a platform thread, which owns its namespace)");
    }
  }

  private static void check(Function function, long result, String detail) {
    if (result < 0) {
      throw new KernelException(function.symbol, (int) -result, detail);
    }
  }
}

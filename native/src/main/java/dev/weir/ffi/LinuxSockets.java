package dev.weir.ffi;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

final class LinuxSockets implements Sockets {
  static final int AF_UNIX = 1;
  static final int SOCK_DGRAM = 2;
  static final int SOCK_SEQPACKET = 5;
  static final int SOCK_CLOEXEC = 0x80000;

  private static final int SOL_SOCKET = 1;
  private static final int SO_PEERCRED = 17;
  private static final int SO_SNDTIMEO = 21;
  private static final int SCM_RIGHTS = 1;
  private static final int MSG_TRUNC = 0x20;
  private static final int MSG_CTRUNC = 0x8;
  private static final int MSG_DONTWAIT = 0x40;
  private static final int MSG_NOSIGNAL = 0x4000;
  private static final int MSG_CMSG_CLOEXEC = 0x40000000;
  private static final int POLLIN = 1;
  private static final int BACKLOG = 16;
  private static final int AF_INET = 2;
  private static final int AF_INET6 = 10;
  private static final int SOCKADDR_IN = 16;
  private static final int SOCKADDR_IN6 = 28;
  private static final int EPOLL_CLOEXEC = 0x80000;
  private static final int EPOLL_CTL_ADD = 1;
  private static final int EPOLLIN_EPOLLET = 1 | 1 << 31;

  /** 12 bytes on x86-64, where it is packed; 16 elsewhere. */
  private static final int EPOLL_EVENT = 16;

  /** unix(7): sun_path is 108 bytes with its NUL. */
  private static final int SUN_PATH = 108;

  private static final int SOCKADDR_UN = 2 + SUN_PATH;

  /** The kernel's SCM_MAX_FD. */
  private static final int MOST_DESCRIPTORS = 253;

  private static final int MSGHDR = 56;
  private static final int CMSGHDR = 16;

  /** A peer that stops reading holds a sender no longer than this. */
  private static final Duration SEND_TIMEOUT = Duration.ofSeconds(5);

  private final Calls calls;
  private final Memory memory;

  LinuxSockets(Calls calls, Memory memory) {
    this.calls = calls;
    this.memory = memory;
  }

  @Override
  public Fd open(int family, int type, int protocol) {
    return new Descriptor(calls, socket(family, type, protocol));
  }

  private int socket(int family, int type, int protocol) {
    long number = calls.call(Function.SOCKET, family, type | SOCK_CLOEXEC, protocol);
    if (number < 0) {
      throw new KernelException(
          "socket",
          (int) -number,
          "family %d type %d protocol %d".formatted(family, type, protocol));
    }
    return (int) number;
  }

  @Override
  public Fd adopt(int number) {
    if (number < 0) {
      throw new IllegalArgumentException("descriptor: %d (expected: >= 0)".formatted(number));
    }
    return new Descriptor(calls, number);
  }

  @Override
  public void setOption(Fd socket, int level, int name, int value) {
    try (Memory.Frame frame = memory.frame()) {
      Memory.Block block = frame.zeroed(Integer.BYTES);
      block.bytes().putInt(0, value);
      setOption(socket.number(), level, name, block.address(), Integer.BYTES);
    }
  }

  @Override
  public void setOption(Fd socket, int level, int name, byte[] value) {
    try (Memory.Frame frame = memory.frame()) {
      setOption(socket.number(), level, name, frame.copy(value), value.length);
    }
  }

  private void setOption(int socket, int level, int name, long address, int size) {
    long result = calls.call(Function.SETSOCKOPT, socket, level, name, address, size);
    if (result < 0) {
      throw new KernelException(
          "setsockopt", (int) -result, "level %d option %d".formatted(level, name));
    }
  }

  @Override
  public int option(Fd socket, int level, int name) {
    try (Memory.Frame frame = memory.frame()) {
      return optionBlock(frame, socket.number(), level, name, Integer.BYTES).getInt(0);
    }
  }

  @Override
  public byte[] option(Fd socket, int level, int name, int size) {
    try (Memory.Frame frame = memory.frame()) {
      ByteBuffer value = optionBlock(frame, socket.number(), level, name, size);
      byte[] copy = new byte[value.limit()];
      value.get(0, copy);
      return copy;
    }
  }

  private ByteBuffer optionBlock(Memory.Frame frame, int socket, int level, int name, int size) {
    Memory.Block value = frame.zeroed(size);
    Memory.Block length = frame.zeroed(Integer.BYTES);
    length.bytes().putInt(0, size);
    long result =
        calls.call(Function.GETSOCKOPT, socket, level, name, value.address(), length.address());
    if (result < 0) {
      throw new KernelException(
          "getsockopt", (int) -result, "level %d option %d".formatted(level, name));
    }
    return value.bytes().limit(length.bytes().getInt(0));
  }

  @Override
  public void connect(Fd socket, InetSocketAddress to) {
    byte[] ip = to.getAddress().getAddress();
    boolean six = ip.length == 16;
    try (Memory.Frame frame = memory.frame()) {
      Memory.Block address = frame.zeroed(six ? SOCKADDR_IN6 : SOCKADDR_IN);
      ByteBuffer bytes = address.bytes();
      bytes.putShort(0, (short) (six ? AF_INET6 : AF_INET));
      bytes.put(2, (byte) (to.getPort() >> 8)).put(3, (byte) to.getPort());
      bytes.put(six ? 8 : 4, ip);
      long result =
          calls.call(
              Function.CONNECT,
              socket.number(),
              address.address(),
              six ? SOCKADDR_IN6 : SOCKADDR_IN);
      if (result < 0) {
        throw new KernelException("connect", (int) -result, to.toString());
      }
    }
  }

  @Override
  public int receive(Fd socket, byte[] into, int flags) {
    try (Memory.Frame frame = memory.frame()) {
      Memory.Block data = frame.zeroed(into.length);
      long result = calls.call(Function.RECV, socket.number(), data.address(), into.length, flags);
      if (result < 0) {
        throw new KernelException("recv", (int) -result, "flags 0x%x".formatted(flags));
      }
      data.bytes().get(0, into, 0, (int) result);
      return (int) result;
    }
  }

  @Override
  public EdgeWatch watchEdges(Fd socket) {
    long number = calls.call(Function.EPOLL_CREATE1, EPOLL_CLOEXEC);
    if (number < 0) {
      throw new KernelException("epoll_create1", (int) -number, "");
    }
    Fd epoll = new Descriptor(calls, (int) number);
    try (Memory.Frame frame = memory.frame()) {
      Memory.Block event = frame.zeroed(EPOLL_EVENT);
      event.bytes().putInt(0, EPOLLIN_EPOLLET);
      long result =
          calls.call(
              Function.EPOLL_CTL, epoll.number(), EPOLL_CTL_ADD, socket.number(), event.address());
      if (result < 0) {
        epoll.close();
        throw new KernelException("epoll_ctl", (int) -result, "");
      }
    }
    return new EpollEdges(epoll);
  }

  private final class EpollEdges implements EdgeWatch {
    private final Fd epoll;

    EpollEdges(Fd epoll) {
      this.epoll = epoll;
    }

    @Override
    public boolean await(Duration atMost) {
      try (Memory.Frame frame = memory.frame()) {
        Memory.Block event = frame.zeroed(EPOLL_EVENT);
        long result;
        do {
          result =
              calls.call(
                  Function.EPOLL_WAIT, epoll.number(), event.address(), 1, atMost.toMillis());
        } while (result == -Errno.EINTR);
        if (result < 0) {
          throw new KernelException("epoll_wait", (int) -result, "");
        }
        return result > 0;
      }
    }

    @Override
    public void close() {
      epoll.close();
    }
  }

  @Override
  public Pipe pipe(int bytes) {
    return LinuxPipe.open(calls, memory, bytes);
  }

  @Override
  public Packets connectPackets(Path socketFile, Duration timeout) {
    int number = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    try {
      sendTimeout(number, timeout);
      connect(number, socketFile);
      sendTimeout(number, SEND_TIMEOUT);
      return new SeqPackets(number, socketFile);
    } catch (RuntimeException e) {
      Descriptor.close(calls, number);
      throw e;
    }
  }

  /**
   * connect(2) of a Unix socket waits for a place in the backlog as long as SO_SNDTIMEO says, and
   * then tells EAGAIN.
   */
  private void sendTimeout(int socket, Duration timeout) {
    try (Memory.Frame frame = memory.frame()) {
      Memory.Block timeval = frame.zeroed(16);
      timeval
          .bytes()
          .putLong(0, timeout.toSeconds())
          .putLong(8, Math.max(1, timeout.toNanosPart() / 1000));
      setOption(socket, SOL_SOCKET, SO_SNDTIMEO, timeval.address(), 16);
    }
  }

  private void connect(int socket, Path socketFile) {
    try (Memory.Frame frame = memory.frame()) {
      long result = calls.call(Function.CONNECT, socket, address(frame, socketFile), SOCKADDR_UN);
      if (result < 0) {
        throw new KernelException(
            "connect",
            result == -Errno.EAGAIN ? Errno.ETIMEDOUT : (int) -result,
            socketFile.toString());
      }
    }
  }

  private static long address(Memory.Frame frame, Path socketFile) {
    byte[] path = socketFile.toString().getBytes(StandardCharsets.UTF_8);
    if (path.length >= SUN_PATH) {
      throw new KernelException(
          "socket address",
          Errno.ENAMETOOLONG,
          "%s: %d bytes (expected: < %d)".formatted(socketFile, path.length, SUN_PATH));
    }
    Memory.Block address = frame.zeroed(SOCKADDR_UN);
    address.bytes().putShort(0, (short) AF_UNIX).put(2, path);
    return address.address();
  }

  @Override
  public PacketListener listenPackets(Path socketFile) {
    clearStale(socketFile);
    int number = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    try (Memory.Frame frame = memory.frame()) {
      checked(
          "bind",
          calls.call(Function.BIND, number, address(frame, socketFile), SOCKADDR_UN),
          socketFile);
      checked("listen", calls.call(Function.LISTEN, number, BACKLOG), socketFile);
      return new SeqPacketListener(number, socketFile);
    } catch (IOException e) {
      Descriptor.close(calls, number);
      KernelException failed =
          new KernelException("stat", Errno.EACCES, "%s: %s".formatted(socketFile, e.getMessage()));
      failed.initCause(e);
      throw failed;
    } catch (RuntimeException e) {
      Descriptor.close(calls, number);
      throw e;
    }
  }

  /**
   * A socket file outlives the process that bound it, so whether somebody answers is what tells
   * stale from live.
   */
  private void clearStale(Path socketFile) {
    if (!Files.exists(socketFile, LinkOption.NOFOLLOW_LINKS)) {
      return;
    }
    int number = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    try (Memory.Frame frame = memory.frame()) {
      if (!Files.readAttributes(socketFile, "isOther", LinkOption.NOFOLLOW_LINKS)
          .containsValue(true)) {
        throw new KernelException(
            "listen", Errno.ENOTSOCK, socketFile + ": is there and is no socket");
      }
      sendTimeout(number, SEND_TIMEOUT);
      long result = calls.call(Function.CONNECT, number, address(frame, socketFile), SOCKADDR_UN);
      if (result == -Errno.ECONNREFUSED) {
        Files.deleteIfExists(socketFile);
      } else if (result >= 0) {
        int owner = optionBlock(frame, number, SOL_SOCKET, SO_PEERCRED, 12).getInt(0);
        throw new KernelException(
            "listen",
            Errno.EADDRINUSE,
            "%s: held by process %d (%s)".formatted(socketFile, owner, name(owner)));
      } else {
        throw new KernelException(
            "listen", (int) -result, socketFile + ": someone may still hold it");
      }
    } catch (IOException e) {
      KernelException failed =
          new KernelException(
              "unlink", Errno.EACCES, socketFile + ": stale socket: " + e.getMessage());
      failed.initCause(e);
      throw failed;
    } finally {
      Descriptor.close(calls, number);
    }
  }

  private static String name(int process) {
    try {
      return Files.readString(Path.of("/proc/" + process + "/comm")).strip();
    } catch (IOException e) {
      return "gone or hidden from here";
    }
  }

  private static void checked(String call, long result, Path socketFile) {
    if (result < 0) {
      throw new KernelException(call, (int) -result, socketFile.toString());
    }
  }

  private final class SeqPackets implements Packets {
    private final HeldSocket socket;
    private final Path file;

    SeqPackets(int number, Path file) {
      this.socket = new HeldSocket(calls, number);
      this.file = file;
    }

    @Override
    public void send(byte[] message, List<Fd> descriptors) {
      if (message.length == 0 || descriptors.size() > MOST_DESCRIPTORS) {
        throw new IllegalArgumentException(
            "packet: %d bytes, %d descriptors (expected: > 0, <= %d)"
                .formatted(message.length, descriptors.size(), MOST_DESCRIPTORS));
      }
      int number = socket.enter();
      if (number < 0) {
        throw new KernelException("sendmsg", Errno.EPIPE, file + ": closed");
      }
      try (Memory.Frame frame = memory.frame()) {
        Memory.Block control = frame.zeroed(controlBytes(descriptors.size()));
        ByteBuffer rights = control.bytes();
        if (!descriptors.isEmpty()) {
          rights
              .putLong(0, CMSGHDR + (long) descriptors.size() * Integer.BYTES)
              .putInt(8, SOL_SOCKET)
              .putInt(12, SCM_RIGHTS);
          for (int i = 0; i < descriptors.size(); i++) {
            rights.putInt(CMSGHDR + i * Integer.BYTES, descriptors.get(i).number());
          }
        }
        Memory.Block header =
            header(
                frame,
                frame.copy(message),
                message.length,
                control,
                descriptors.isEmpty() ? 0 : rights.capacity());
        long result;
        do {
          result = calls.call(Function.SENDMSG, number, header.address(), MSG_NOSIGNAL);
        } while (result == -Errno.EINTR);
        if (result < 0) {
          throw new KernelException(
              "sendmsg",
              result == -Errno.EAGAIN ? Errno.ETIMEDOUT : (int) -result,
              file.toString());
        }
      } finally {
        socket.leave();
      }
    }

    @Override
    public @Nullable Packet receive(int maxBytes, Duration timeout) {
      int number = socket.enter();
      if (number < 0) {
        return null;
      }
      long deadline = System.nanoTime() + timeout.toNanos();
      try (Memory.Frame frame = memory.frame()) {
        Memory.Block data = frame.zeroed(maxBytes);
        Memory.Block control = frame.zeroed(controlBytes(MOST_DESCRIPTORS));
        Memory.Block header =
            header(frame, data.address(), maxBytes, control, control.bytes().capacity());
        while (true) {
          await(frame, number, deadline);
          long result =
              calls.call(
                  Function.RECVMSG, number, header.address(), MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
          if (result == -Errno.EINTR || result == -Errno.EAGAIN) {
            continue;
          }
          if (socket.closing() || result == 0) {
            return null;
          }
          if (result < 0) {
            throw new KernelException("recvmsg", (int) -result, file.toString());
          }
          List<Fd> descriptors = descriptors(control.bytes(), header.bytes().getLong(40));
          int flags = header.bytes().getInt(48);
          if ((flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
            descriptors.forEach(Fd::close);
            throw new KernelException(
                "recvmsg",
                Errno.EMSGSIZE,
                "%s: a packet longer than %d bytes".formatted(file, maxBytes));
          }
          return new Packet(data.copy(0, (int) result), descriptors);
        }
      } finally {
        socket.leave();
      }
    }

    private void await(Memory.Frame frame, int number, long deadline) {
      Memory.Block pollfd = frame.zeroed(8);
      pollfd.bytes().putInt(0, number).putShort(4, (short) POLLIN);
      long result;
      do {
        long left = Math.max(0, Math.ceilDiv(deadline - System.nanoTime(), 1_000_000L));
        result = calls.call(Function.POLL, pollfd.address(), 1, Math.min(left, Integer.MAX_VALUE));
      } while (result == -Errno.EINTR);
      if (result < 0) {
        throw new KernelException("poll", (int) -result, file.toString());
      }
      if (result == 0) {
        throw new KernelException("recvmsg", Errno.ETIMEDOUT, file.toString());
      }
    }

    private List<Fd> descriptors(ByteBuffer control, long used) {
      List<Fd> received = new ArrayList<>();
      int at = 0;
      while (at + CMSGHDR <= used) {
        int length = Math.toIntExact(control.getLong(at));
        if (control.getInt(at + 8) == SOL_SOCKET && control.getInt(at + 12) == SCM_RIGHTS) {
          for (int i = CMSGHDR; i + Integer.BYTES <= length; i += Integer.BYTES) {
            received.add(new Descriptor(calls, control.getInt(at + i)));
          }
        }
        at += Math.max(CMSGHDR, (length + 7) & -8);
      }
      return received;
    }

    @Override
    public void close() {
      socket.close();
    }
  }

  private static int controlBytes(int descriptors) {
    return CMSGHDR + ((descriptors * Integer.BYTES + 7) & -8);
  }

  /** struct msghdr on 64 bits: name, namelen, iov, iovlen, control, controllen, flags. */
  private static Memory.Block header(
      Memory.Frame frame, long data, int dataBytes, Memory.Block control, int controlBytes) {
    Memory.Block vector = frame.zeroed(16);
    vector.bytes().putLong(0, data).putLong(8, dataBytes);
    Memory.Block header = frame.zeroed(MSGHDR);
    header
        .bytes()
        .putLong(16, vector.address())
        .putLong(24, 1)
        .putLong(32, controlBytes == 0 ? 0 : control.address())
        .putLong(40, controlBytes);
    return header;
  }

  private final class SeqPacketListener implements PacketListener {
    private final HeldSocket socket;
    private final Path file;
    private final Object identity;

    SeqPacketListener(int number, Path file) throws IOException {
      this.socket = new HeldSocket(calls, number);
      this.file = file;
      this.identity = identity(file);
    }

    private static Object identity(Path file) throws IOException {
      return Files.readAttributes(file, "unix:dev,ino", LinkOption.NOFOLLOW_LINKS);
    }

    @Override
    public @Nullable Packets accept() {
      int number = socket.enter();
      if (number < 0) {
        return null;
      }
      try {
        long accepted;
        do {
          accepted = calls.call(Function.ACCEPT4, number, 0, 0, SOCK_CLOEXEC);
        } while ((accepted == -Errno.EINTR || accepted == -Errno.ECONNABORTED)
            && !socket.closing());
        if (socket.closing()) {
          if (accepted >= 0) {
            Descriptor.close(calls, (int) accepted);
          }
          return null;
        }
        checked("accept", accepted, file);
        sendTimeout((int) accepted, SEND_TIMEOUT);
        return new SeqPackets((int) accepted, file);
      } finally {
        socket.leave();
      }
    }

    @Override
    public void close() {
      if (socket.closing()) {
        return;
      }
      try {
        // The path may be a successor's by now, bound after somebody moved ours away.
        if (identity(file).equals(identity)) {
          Files.delete(file);
        }
      } catch (NoSuchFileException e) {
        // Somebody has cleared it away already: nothing of ours is left there.
      } catch (IOException e) {
        // The next listener finds it stale and replaces it.
        System.err.printf(
            "WARN native: socket file stays: path=%s cause=%s%n", file, e.getMessage());
      }
      socket.close();
    }
  }
}

package dev.weir.ffi;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.function.Consumer;
import java.util.function.Supplier;

/** Talks netlink: a socket per request, in whatever network namespace the caller stands. */
final class NetlinkSockets {
  private static final int AF_NETLINK = 16;
  private static final int SOCK_RAW = 3;
  private static final int SOL_SOCKET = 1;
  private static final int SO_RCVTIMEO = 20;
  private static final int SOL_NETLINK = 270;
  private static final int NETLINK_CAP_ACK = 10;
  private static final int NETLINK_EXT_ACK = 11;
  private static final short NLMSG_ERROR = 2;
  private static final short NLMSG_DONE = 3;
  private static final int NLM_F_DUMP_INTERRUPTED = 0x10;
  private static final int NLM_F_ACK_TLVS = 0x200;
  private static final short NLMSGERR_ATTR_MSG = 1;

  /** netlink(7) advises 8 KiB at least; the kernel fills up to 32 KiB a datagram. */
  private static final int RECEIVE_BYTES = 32 * 1024;

  private static final int RECEIVE_SECONDS = 5;

  /** A table that changes under every attempt is changing for good; say so. */
  private static final int DUMP_ATTEMPTS = 8;

  private static final int SEQUENCE = 1;

  private final Calls calls;
  private final Memory memory;

  NetlinkSockets(Calls calls, Memory memory) {
    this.calls = calls;
    this.memory = memory;
  }

  void request(int protocol, NetlinkMessage message, int flags, String what) {
    requestUnless(0, protocol, message, flags, what);
  }

  /** False where the kernel answered with this errno, which the caller is content with. */
  boolean requestUnless(
      int content,
      int protocol,
      NetlinkMessage message,
      int flags,
      String what,
      Object... arguments) {
    byte[] request =
        message.encode(NetlinkMessage.REQUEST | NetlinkMessage.ACKNOWLEDGE | flags, SEQUENCE);
    Answer answer = exchange(protocol, request, reply -> {}, what);
    if (answer.errno() == 0) {
      return true;
    }
    if (answer.errno() == content) {
      return false;
    }
    throw new KernelException(
        "netlink", answer.errno(), answer.text().isEmpty() ? what : what + ": " + answer.text());
  }

  /**
   * Every object of a table. A dump that the kernel flags as torn by a change begins anew: the
   * supplier clears what was gathered.
   */
  void dump(int protocol, Supplier<NetlinkMessage> fresh, Consumer<ByteBuffer> sink, String what) {
    for (int attempt = 0; attempt < DUMP_ATTEMPTS; attempt++) {
      byte[] request = fresh.get().encode(NetlinkMessage.REQUEST | NetlinkMessage.DUMP, SEQUENCE);
      Answer answer = exchange(protocol, request, sink, what);
      if (answer.errno() != 0) {
        throw new KernelException(
            "netlink",
            answer.errno(),
            answer.text().isEmpty() ? what : what + ": " + answer.text());
      }
      if (!answer.torn()) {
        return;
      }
    }
    throw new KernelException(
        "netlink", Errno.EAGAIN, what + ": changed under each of " + DUMP_ATTEMPTS + " attempts");
  }

  private record Answer(int errno, String text, boolean torn) {}

  private Answer exchange(int protocol, byte[] request, Consumer<ByteBuffer> sink, String what) {
    long socket =
        calls.call(Function.SOCKET, AF_NETLINK, SOCK_RAW | LinuxSockets.SOCK_CLOEXEC, protocol);
    if (socket < 0) {
      throw new KernelException("socket", (int) -socket, "netlink protocol " + protocol);
    }
    try (Memory.Frame frame = memory.frame()) {
      prepare(frame, socket);
      long sent = calls.call(Function.SEND, socket, frame.copy(request), request.length, 0);
      if (sent < 0) {
        throw new KernelException("send", (int) -sent, what);
      }
      Memory.Block replies = frame.zeroed(RECEIVE_BYTES);
      boolean torn = false;
      while (true) {
        long received = calls.call(Function.RECV, socket, replies.address(), RECEIVE_BYTES, 0);
        if (received == -Errno.EINTR) {
          continue;
        }
        if (received < 0) {
          int errno = received == -Errno.EAGAIN ? Errno.ETIMEDOUT : (int) -received;
          throw new KernelException("recv", errno, what);
        }
        int at = 0;
        while (at + NetlinkMessage.HEADER <= received) {
          int length = replies.bytes().getInt(at);
          int type = replies.bytes().getShort(at + 4);
          int flags = replies.bytes().getShort(at + 6);
          if (length < NetlinkMessage.HEADER || at + length > received) {
            throw new KernelException("netlink", Errno.EPROTO, what);
          }
          ByteBuffer body =
              replies
                  .bytes()
                  .slice(at + NetlinkMessage.HEADER, length - NetlinkMessage.HEADER)
                  .order(ByteOrder.nativeOrder());
          torn |= (flags & NLM_F_DUMP_INTERRUPTED) != 0;
          if (type == NLMSG_ERROR || type == NLMSG_DONE) {
            // NLMSG_DONE carries a status too: a dump that failed half-way says so here.
            int error = body.limit() >= Integer.BYTES ? body.getInt(0) : 0;
            return new Answer(-Math.min(error, 0), error < 0 ? text(body, type, flags) : "", torn);
          }
          sink.accept(body);
          at += (length + 3) & -4;
        }
      }
    } finally {
      Descriptor.close(calls, (int) socket);
    }
  }

  /** Bounded waiting, and the kernel's own words (extended ACK) without our request echoed. */
  private void prepare(Memory.Frame frame, long socket) {
    Memory.Block timeval = frame.zeroed(16);
    timeval.bytes().putLong(0, RECEIVE_SECONDS);
    option(socket, SOL_SOCKET, SO_RCVTIMEO, timeval.address(), 16);
    Memory.Block on = frame.zeroed(Integer.BYTES);
    on.bytes().putInt(0, 1);
    option(socket, SOL_NETLINK, NETLINK_CAP_ACK, on.address(), Integer.BYTES);
    option(socket, SOL_NETLINK, NETLINK_EXT_ACK, on.address(), Integer.BYTES);
  }

  private void option(long socket, int level, int name, long address, int size) {
    long result = calls.call(Function.SETSOCKOPT, socket, level, name, address, size);
    if (result < 0) {
      throw new KernelException("setsockopt", (int) -result, "netlink option " + name);
    }
  }

  private static String text(ByteBuffer body, int type, int flags) {
    int skipped = Integer.BYTES + (type == NLMSG_ERROR ? NetlinkMessage.HEADER : 0);
    if ((flags & NLM_F_ACK_TLVS) == 0 || body.limit() <= skipped) {
      return "";
    }
    StringBuilder text = new StringBuilder();
    NetlinkMessage.attributes(
        body.slice(skipped, body.limit() - skipped).order(ByteOrder.nativeOrder()),
        (attribute, value) -> {
          if (attribute == NLMSGERR_ATTR_MSG) {
            text.append(NetlinkMessage.text(value));
          }
        });
    return text.toString();
  }
}

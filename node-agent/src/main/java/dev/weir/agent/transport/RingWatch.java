package dev.weir.agent.transport;

import io.netty.channel.IoEvent;
import io.netty.channel.IoRegistration;
import io.netty.channel.unix.FileDescriptor;
import io.netty.channel.uring.IoUringIoEvent;
import io.netty.channel.uring.IoUringIoHandle;
import io.netty.channel.uring.IoUringIoOps;

/**
 * By io_uring: one multishot poll for what comes and, from when there was no room first, one for
 * that (io_uring_enter(2), IORING_OP_POLL_ADD). Both go to the kernel with the loop's next visit,
 * so a connection costs no call of its own. A poll of one shot would do for room, had not every
 * poll POLLRDHUP in it (IO_POLL_UNMASK in io_uring/poll.c): once the peer has ended its output it
 * would be over at once.
 */
final class RingWatch extends Watch implements IoUringIoHandle {
  private static final byte POLL_ADD = 6;
  private static final byte ASYNC_CANCEL = 14;
  private static final int POLL_ADD_MULTI = 1;

  /** Of a completion: more will follow from the same request. */
  private static final int MORE = 1 << 1;

  private static final long FOR_INPUT = 1;
  private static final long FOR_ROOM = 2;
  private static final long FOR_NOBODY = 3;

  private final FileDescriptor descriptor;
  private long input;
  private long room;
  private boolean looksForRoom;
  private boolean over;

  RingWatch(FileDescriptor descriptor, Ready ready) {
    super(ready);
    this.descriptor = descriptor;
  }

  @Override
  void look() {
    input = registration().submit(poll(IN | URGENT | PEER_DONE, FOR_INPUT));
  }

  @Override
  void lookForRoom() {
    if (!looksForRoom) {
      looksForRoom = true;
      room = registration().submit(poll(OUT, FOR_ROOM));
    }
  }

  private IoUringIoOps poll(int events, long what) {
    return operation(POLL_ADD, descriptor.intValue(), 0, POLL_ADD_MULTI, events, what);
  }

  /** A request in the kernel holds the descriptor open: it goes first, and with it the FIN. */
  @Override
  void ending() {
    over = true;
    if (registration().isValid()) {
      registration().submit(operation(ASYNC_CANCEL, -1, input, 0, 0, FOR_NOBODY));
      if (looksForRoom) {
        registration().submit(operation(ASYNC_CANCEL, -1, room, 0, 0, FOR_NOBODY));
      }
    }
  }

  private static IoUringIoOps operation(
      byte code, int number, long address, int length, int events, long what) {
    return new IoUringIoOps(
        code, (byte) 0, (short) 0, number, 0L, address, length, events, what, (short) 0, (short) 0,
        0, 0L);
  }

  @Override
  public void handle(IoRegistration from, IoEvent event) {
    IoUringIoEvent completion = (IoUringIoEvent) event;
    long what = completion.userData();
    if (over || what == FOR_NOBODY) {
      return;
    }
    if ((completion.flags() & MORE) == 0) {
      // The kernel has ended it, as it does when its queue of completions runs over.
      if (what == FOR_INPUT) {
        look();
      } else {
        looksForRoom = false;
        lookForRoom();
      }
    }
    if (completion.res() > 0) {
      tell(completion.res());
    }
  }
}

package dev.weir.agent.transport;

import io.netty.channel.IoEvent;
import io.netty.channel.IoRegistration;
import io.netty.channel.epoll.EpollIoEvent;
import io.netty.channel.epoll.EpollIoHandle;
import io.netty.channel.epoll.EpollIoOps;
import io.netty.channel.unix.FileDescriptor;

/** By epoll. What closes leaves the set by itself, so the end costs no call. */
final class EpollWatch extends Watch implements EpollIoHandle {
  private static final EpollIoOps INPUT =
      EpollIoOps.valueOf(IN | URGENT | PEER_DONE).with(EpollIoOps.EPOLLET);
  private static final EpollIoOps BOTH = INPUT.with(EpollIoOps.EPOLLOUT);

  private final FileDescriptor descriptor;

  EpollWatch(FileDescriptor descriptor, Ready ready) {
    super(ready);
    this.descriptor = descriptor;
  }

  @Override
  public FileDescriptor fd() {
    return descriptor;
  }

  @Override
  void look() {
    registration().submit(INPUT);
  }

  // Also where it was asked for before: to ask again is to be told of room that is there already.
  @Override
  void lookForRoom() {
    registration().submit(BOTH);
  }

  @Override
  void ending() {
    // Nothing of it is under way in the kernel.
  }

  @Override
  public void handle(IoRegistration from, IoEvent event) {
    tell(((EpollIoEvent) event).ops().value());
  }
}

package dev.weir.agent.fairness;

import io.netty.buffer.ByteBuf;
import io.netty.channel.Channel;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.socket.ChannelInputShutdownEvent;
import io.netty.util.ReferenceCountUtil;
import java.util.ArrayDeque;
import org.jspecify.annotations.Nullable;

/**
 * First in a channel's pipeline: what the channel brings passes here when it is the pod's turn, and
 * what it costs is noted. What has to wait is held, one visit's worth, and the channel is not read
 * meanwhile; so is whoever sends. The end of a channel does not wait, and what came before it goes
 * first. Owned by the channel's event loop.
 */
public final class Turnstile extends ChannelInboundHandlerAdapter {
  private final Share share;
  private final Channel channel;
  private @Nullable ArrayDeque<Object> held;
  private Share.@Nullable Work pass;
  private @Nullable ChannelHandlerContext context;
  private @Nullable Share outer;
  private boolean inside;
  private boolean queued;
  private boolean ended;
  private boolean wanted = true;
  // Read by the watch as well, for which an old number is as good.
  private int heldBytes;

  public Turnstile(Share share, Channel channel) {
    this.share = share;
    this.channel = channel;
  }

  /** Whether the channel's owner wants to read. */
  public void reading(boolean on) {
    wanted = on;
    resume();
  }

  /** Bytes that were read and wait here, about. Any thread. */
  public int heldBytes() {
    return heldBytes;
  }

  @Override
  public void channelActive(ChannelHandlerContext active) {
    Share before = share.begin();
    active.fireChannelActive();
    share.end(before);
  }

  @Override
  public void channelRead(ChannelHandlerContext reading, Object message) {
    if (!inside && !queued) {
      if (!share.mayRun()) {
        hold(reading, message);
        return;
      }
      inside = true;
      outer = share.beginInTurn();
    }
    if (inside) {
      reading.fireChannelRead(message);
    } else {
      hold(reading, message);
    }
  }

  private void hold(ChannelHandlerContext reading, Object message) {
    ArrayDeque<Object> queue = held;
    if (queue == null) {
      queue = new ArrayDeque<>(4);
      held = queue;
    }
    queue.add(message);
    if (message instanceof ByteBuf bytes) {
      heldBytes += bytes.readableBytes();
    }
    if (!queued) {
      queued = true;
      context = reading;
      channel.config().setAutoRead(false);
      Share.Work work = pass;
      if (work == null) {
        work = share.work(this::pass);
        pass = work;
      }
      share.hold(work);
    }
  }

  @Override
  public void channelReadComplete(ChannelHandlerContext read) {
    if (inside) {
      read.fireChannelReadComplete();
      leave();
    } else if (!queued) {
      // Nothing was read: a wake-up for nothing, or for the end.
      read.fireChannelReadComplete();
    }
  }

  private void leave() {
    if (inside) {
      inside = false;
      share.end(outer);
      outer = null;
    }
  }

  /** The pod's turn has come; also where nothing is held any more. */
  private void pass() {
    if (!queued) {
      return;
    }
    let();
    resume();
  }

  private void resume() {
    // To ask for more after the end makes the transport look for a socket that it has forgotten.
    if (!ended) {
      channel.config().setAutoRead(wanted && !queued);
    }
  }

  private void let() {
    queued = false;
    ArrayDeque<Object> queue = held;
    ChannelHandlerContext to = context;
    if (queue == null || to == null) {
      return;
    }
    held = null;
    heldBytes = 0;
    Object next;
    while ((next = queue.poll()) != null) {
      to.fireChannelRead(next);
    }
    to.fireChannelReadComplete();
  }

  private void letNow() {
    if (queued) {
      share.atOnce(this::let);
      resume();
    }
  }

  @Override
  public void userEventTriggered(ChannelHandlerContext told, Object event) {
    ended |= event == ChannelInputShutdownEvent.INSTANCE;
    letNow();
    told.fireUserEventTriggered(event);
  }

  @Override
  public void channelWritabilityChanged(ChannelHandlerContext changed) {
    Share before = share.begin();
    changed.fireChannelWritabilityChanged();
    share.end(before);
  }

  @Override
  public void exceptionCaught(ChannelHandlerContext caught, Throwable cause) {
    letNow();
    leave();
    caught.fireExceptionCaught(cause);
  }

  @Override
  public void channelInactive(ChannelHandlerContext gone) {
    ended = true;
    letNow();
    leave();
    gone.fireChannelInactive();
  }

  @Override
  public void handlerRemoved(ChannelHandlerContext removed) {
    ArrayDeque<Object> queue = held;
    if (queue != null) {
      held = null;
      heldBytes = 0;
      queued = false;
      queue.forEach(ReferenceCountUtil::release);
    }
    leave();
  }
}

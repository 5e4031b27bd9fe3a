package dev.weir.agent.tunnel;

import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;

/**
 * What a peer may send down one stream (RFC 9113 section 5.2), and so what a reader that stops can
 * make us hold. It begins with what SETTINGS promise to every stream: so little that a pod may have
 * very many readers that stop, and without a frame for all the streams that never need more. Once
 * half of that has come it becomes useful, as far as the pod has room, which costs the sender a
 * round trip at most. From there it doubles while its reader empties half of it in less time than a
 * round trip between regions takes: only then was the window what held the sender up. One that
 * takes ten times as long is no such reader any more: what its window grew by is not credited
 * again, and is there for others. Of a window three parts are whole: what the peer may still send,
 * what it sent and the owner holds, and what was consumed but not yet credited.
 */
final class ReceiveWindow {
  static final long FAST_NANOS = TimeUnit.MILLISECONDS.toNanos(25);
  static final long SLOW_NANOS = 10 * FAST_NANOS;

  private final int useful;
  private final int most;
  private final GrowthRoom room;
  private int size;
  private int grown;
  private int open;
  private int uncredited;
  private boolean begun;
  private boolean credited;
  private long lastCredit;

  /**
   * @param size what the peer was told that it may send
   * @param useful what it becomes as soon as the peer sends more than a little
   * @param most what it may become
   * @param room what it may grow by, together with the pod's other streams
   */
  ReceiveWindow(int size, int useful, int most, GrowthRoom room) {
    this.room = room;
    this.size = size;
    this.useful = useful;
    this.most = most;
    this.open = size;
  }

  /**
   * Takes what a DATA frame occupies; false where the peer had no right to it.
   *
   * @param more what the peer may have sent beyond, as long as it has not heard how little it may
   *     (RFC 9113 section 6.9.3)
   */
  boolean receive(int length, int more) {
    if (length > open + more) {
      return false;
    }
    open -= length;
    return true;
  }

  /**
   * After bytes came.
   *
   * @return what the peer is to be told that it may send more; 0 for nothing
   */
  int begin() {
    if (begun || open > size / 2) {
      return 0;
    }
    begun = true;
    int wider = room.take(Math.max(0, useful - size));
    grown += wider;
    size += wider;
    open += wider;
    return wider;
  }

  /** Whether it has become useful. */
  boolean isWidened() {
    return grown >= useful / 2;
  }

  /** Bytes that came and were not consumed. */
  int held() {
    return size - open - uncredited;
  }

  /**
   * Bytes are gone from memory. Credited in halves of the window: one WINDOW_UPDATE for many
   * frames, and never a stall.
   *
   * @return what the peer is to be told that it may send more; 0 for nothing yet
   */
  int consumed(int bytes, LongSupplier nanoClock) {
    uncredited += bytes;
    if (uncredited == 0 || uncredited < size / 2) {
      return 0;
    }
    int wider = 0;
    if (size < most || grown > 0) {
      long now = nanoClock.getAsLong();
      if (credited && now - lastCredit < FAST_NANOS) {
        wider = room.take(Math.min(size, most - size));
      } else if (credited && now - lastCredit >= SLOW_NANOS) {
        // RFC 9113 section 6.9.2: what was granted stands, but nothing obliges to grant it again.
        wider = -Math.min(grown, uncredited);
        room.giveBack(-wider);
      }
      credited = true;
      lastCredit = now;
    }
    int increment = uncredited + wider;
    uncredited = 0;
    grown += wider;
    size += wider;
    open += increment;
    return increment;
  }

  /** The stream is over. */
  void close() {
    room.giveBack(grown);
    grown = 0;
  }
}

package dev.weir.agent.fairness;

import dev.weir.agent.log.Log;
import dev.weir.agent.telemetry.Refusal;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.LongSupplier;
import java.util.function.Supplier;

/**
 * Looks at what buffers hold, and sees to it that memory suffices: a pod above its own limit loses
 * the connections that hold most; when all together are above theirs, the pod that holds most for
 * its weight does. Until it is well below again it gets nothing new. No byte is counted on its way:
 * connections are asked what they hold: once a second while little of the allocator is in use, else
 * ten times, and a hundred times when half of the memory is gone.
 */
final class MemoryWatch implements AutoCloseable {
  private static final long CALM_NANOS = TimeUnit.MILLISECONDS.toNanos(100);
  private static final long BUSY_NANOS = TimeUnit.MILLISECONDS.toNanos(10);
  private static final int CALM_LOOKS = 10;

  private final Limits limits;
  private final LongSupplier pinnedBytes;
  private final Supplier<? extends Collection<PodAccount>> accounts;
  private final Log log;
  private volatile boolean closed;
  private volatile long used;
  private volatile boolean tight;

  MemoryWatch(
      Limits limits,
      LongSupplier pinnedBytes,
      Supplier<? extends Collection<PodAccount>> accounts,
      Log log) {
    this.limits = limits;
    this.pinnedBytes = pinnedBytes;
    this.accounts = accounts;
    this.log = log;
  }

  void start() {
    Thread.ofPlatform()
        .daemon()
        .name("memory-watch")
        .start(() -> {
          for (int looks = 0; !closed; looks++) {
            if (looks % CALM_LOOKS == 0 || mayMatter()) {
              look();
            }
            LockSupport.parkNanos(used > limits.bufferBytes() / 2 ? BUSY_NANOS : CALM_NANOS);
          }
        });
  }

  @Override
  public void close() {
    closed = true;
  }

  /**
   * All that pods hold is pinned in the allocator, but for what is in the kernel's pipes, which are
   * few. As long as that is well below what one pod may hold, to ask each of 10,000 idle
   * connections is for readers of the accounts alone.
   */
  private boolean mayMatter() {
    return pinnedBytes.getAsLong() > limits.podBufferBytes() / 4
        || tight
        || accounts.get().stream().anyMatch(each -> each.squeezed() != null);
  }

  /** So little is left that no handshake may be begun. */
  boolean isTight() {
    return tight;
  }

  long usedBytes() {
    return used;
  }

  void look() {
    long held = 0;
    PodAccount heaviest = null;
    for (PodAccount account : accounts.get()) {
      long bytes = ask(account);
      held += bytes;
      if (heaviest == null || weighed(account) > weighed(heaviest)) {
        heaviest = account;
      }
      Refusal squeezed = account.squeezed();
      if (bytes > limits.podBufferBytes()) {
        cut(account, bytes - limits.podBufferBytes() * 3 / 4, Refusal.OVERLOAD_BUFFERS);
      } else if (squeezed == Refusal.OVERLOAD_BUFFERS && bytes < limits.podBufferBytes() * 3 / 4) {
        account.squeeze(null);
      }
    }
    long total = Math.max(held, pinnedBytes.getAsLong());
    used = total;
    tight = total > limits.bufferBytes() * 9 / 10;
    if (total > limits.bufferBytes() && heaviest != null) {
      cut(heaviest, total - limits.bufferBytes() * 3 / 4, Refusal.OVERLOAD_MEMORY);
    } else if (total < limits.bufferBytes() * 3 / 4) {
      for (PodAccount account : accounts.get()) {
        if (account.squeezed() == Refusal.OVERLOAD_MEMORY) {
          account.squeeze(null);
        }
      }
    }
  }

  private static long ask(PodAccount account) {
    long[] sum = {account.buffers().shared()};
    account.buffers().forEach(each -> sum[0] += each.buffered());
    account.buffered(sum[0]);
    return sum[0];
  }

  private static double weighed(PodAccount account) {
    return (double) account.buffered() / account.pod().settings().weight();
  }

  private record Held(Holder by, long bytes) {}

  /** Takes its largest buffers away, until so many bytes are on their way out. */
  private void cut(PodAccount account, long bytes, Refusal reason) {
    if (account.squeezed() == null) {
      log.warn(
          "buffers are full: the pod's largest are cut, and it gets nothing new until they are"
              + " empty",
          "pod",
          account.pod().label(),
          "bytes",
          account.buffered(),
          "reason",
          reason.label());
      account.squeeze(reason);
    }
    List<Held> all = new ArrayList<>();
    account.buffers().forEach(each -> all.add(new Held(each, each.buffered())));
    all.sort(Comparator.comparingLong(Held::bytes).reversed());
    long left = bytes;
    for (Held each : all) {
      if (left <= 0 || each.bytes == 0) {
        return;
      }
      left -= each.bytes;
      account.cut(each.by, reason);
    }
  }
}

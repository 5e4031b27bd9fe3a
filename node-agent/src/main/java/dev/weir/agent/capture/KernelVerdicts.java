package dev.weir.agent.capture;

import dev.weir.agent.log.Log;
import dev.weir.api.model.FastPath;
import dev.weir.bpf.Layouts;
import dev.weir.ffi.Bpf.BpfMap;
import dev.weir.ffi.KernelException;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/** {@code weir_verdicts}: asked for by event loops, written on the capture thread. */
final class KernelVerdicts implements Verdicts {
  private static final int WAITING_MAX = 4_096;

  private record Request(Pod source, Pod destination, int port) {}

  private final CaptureThread thread;
  private final BpfMap verdicts;
  private final PodBook book;
  private final FlowCutter cutter;
  private final Log log;
  private final Heartbeat heartbeat;
  private final ArrayBlockingQueue<Request> waiting = new ArrayBlockingQueue<>(WAITING_MAX);
  private final AtomicBoolean scheduled = new AtomicBoolean();
  private @Nullable Admission admission;
  private boolean full;

  /**
   * A verdict was taken back since the last tick. A connect that met it a moment before had not
   * recorded its flow when flows were looked at.
   */
  private boolean lookAgain;

  KernelVerdicts(
      CaptureThread thread,
      BpfMap verdicts,
      PodBook book,
      FlowCutter cutter,
      Heartbeat heartbeat,
      Log log) {
    this.thread = thread;
    this.verdicts = verdicts;
    this.book = book;
    this.cutter = cutter;
    this.heartbeat = heartbeat;
    this.log = log;
  }

  /** Before anything runs. */
  void admission(Admission now) {
    admission = now;
  }

  @Override
  public void allow(Pod source, Pod destination, int port) {
    if (waiting.offer(new Request(source, destination, port))
        && scheduled.compareAndSet(false, true)) {
      thread.run("verdicts into the kernel", this::write);
    }
  }

  private void write() {
    // Cleared first: what comes after this line asks for another pass.
    scheduled.set(false);
    List<Request> requests = new ArrayList<>();
    waiting.drainTo(requests);
    if (!heartbeat.inCharge()) {
      return;
    }
    for (Request request : requests) {
      Pod source = book.byNumber(request.source.number());
      Pod destination = book.byNumber(request.destination.number());
      // Since the decision one may have gone, been opted out, or become somebody else.
      if (source == null
          || destination == null
          || source.identityNumber() != request.source.identityNumber()
          || destination.identityNumber() != request.destination.identityNumber()
          || source.settings().fastPath().with(destination.settings().fastPath()) == FastPath.OFF
          || !remembers(source.identity(), destination, request.port)) {
        continue;
      }
      try {
        // Consent to joining is each pod's own flag, read by the programs; the verdict only says
        // that nothing else is against it.
        verdicts.update(
            new Layouts.VerdictKey(source.identityNumber(), destination.number(), request.port)
                .bytes(),
            Layouts.verdict(Layouts.VERDICT_JOINED, heartbeat.number()));
        full = false;
      } catch (KernelException e) {
        if (!full) {
          log.warn(
              "verdict not cached: connections go on through the agent", "cause", e.getMessage());
        }
        full = true;
        return;
      }
    }
  }

  private boolean remembers(String identity, Pod destination, int port) {
    Admission asked = admission;
    return asked == null || asked.remembers(identity, destination, port);
  }

  @Override
  public void review() {
    thread.run("review verdicts", this::reviewNow);
  }

  /** On the capture thread. */
  void reviewNow() {
    if (admission == null || !heartbeat.inCharge()) {
      return;
    }
    int forgotten =
        forget(key -> {
          Pod destination = book.byNumber(key.pod());
          if (destination == null) {
            // A former agent's, until the enroller names it again or takes it away.
            return false;
          }
          String identity = book.identity(key.identity());
          return identity == null || !remembers(identity, destination, key.port());
        });
    lookAgain |= forgotten > 0;
    cutDenied();
  }

  /** On the capture thread. */
  void tick() {
    if (lookAgain) {
      lookAgain = false;
      cutDenied();
    }
  }

  private void cutDenied() {
    Admission asked = admission;
    if (asked == null) {
      return;
    }
    int cut =
        cutter.cut(
            (tuple, flow) -> {
              Pod destination = book.byNumber(flow.destinationPod());
              return destination != null
                  && !asked.admits(
                      book.remembered(flow.sourcePod()), destination, client(tuple), server(tuple));
            },
            (tuple, flow) -> {
              Pod destination = book.byNumber(flow.destinationPod());
              if (destination != null) {
                asked.ended(
                    book.remembered(flow.sourcePod()), destination, client(tuple), server(tuple));
              }
            });
    if (cut > 0) {
      log.info("flows ended: policy denies them now", "count", cut);
    }
  }

  private static InetSocketAddress client(Layouts.Tuple tuple) {
    return new InetSocketAddress(tuple.client(), tuple.clientPort());
  }

  private static InetSocketAddress server(Layouts.Tuple tuple) {
    return new InetSocketAddress(tuple.server(), tuple.serverPort());
  }

  @Override
  public void evict(Pod destination) {
    thread.run(
        "evict verdicts",
        () -> {
          forget(key -> key.pod() == destination.number());
          cutter.cut(flow -> flow.destinationPod() == destination.number());
        });
  }

  @Override
  public void evictIdentity(String identity) {
    thread.run(
        "evict verdicts",
        () -> {
          int number = book.identityNumber(identity);
          if (number != 0) {
            forget(key -> key.identity() == number);
            cutter.cut(flow -> {
              Pod source = book.byNumber(flow.sourcePod());
              return source != null && source.identityNumber() == number;
            });
          }
        });
  }

  /** On the capture thread. Returns how many. */
  int forget(Predicate<Layouts.VerdictKey> which) {
    assert thread.isCurrent();
    List<byte[]> doomed = new ArrayList<>();
    verdicts.forEach((key, value) -> {
      if (which.test(Layouts.VerdictKey.of(key))) {
        doomed.add(key);
      }
    });
    doomed.forEach(verdicts::delete);
    return doomed.size();
  }
}

package dev.weir.agent.relay;

import dev.weir.agent.authz.Call;
import dev.weir.agent.capture.Pod;
import dev.weir.agent.fairness.Holder;
import dev.weir.agent.fairness.Share;
import dev.weir.agent.telemetry.ConnectionMeter;
import dev.weir.agent.telemetry.Outcome;
import dev.weir.agent.telemetry.Refusal;
import io.netty.channel.EventLoop;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * One connection through the agent: its two ends, and what is counted of it. Owned by their event
 * loop.
 */
final class Relay implements Holder {
  private final End client;
  private final End server;
  private final ConnectionMeter meter;
  private final PodRelays first;
  private final @Nullable PodRelays second;
  private final EventLoop loop;
  private final Share share;
  private final boolean inbound;
  private int open = 2;
  private boolean aborted;
  private Outcome outcome = Outcome.ENDED;
  private @Nullable String error;
  private volatile @Nullable Call call;

  /**
   * @param share the turns of the pod whose listener accepted
   * @param inbound it came to that pod, not from it
   * @param client makes the end that called
   * @param server makes the end that answers
   * @param first the pod whose listener accepted
   * @param second the pod that is delivered into, where that is another
   */
  Relay(
      EventLoop loop,
      Share share,
      boolean inbound,
      Function<Relay, End> client,
      Function<Relay, End> server,
      ConnectionMeter meter,
      PodRelays first,
      @Nullable PodRelays second) {
    this.loop = loop;
    this.share = share;
    this.inbound = inbound;
    this.client = client.apply(this);
    this.server = server.apply(this);
    this.meter = meter;
    this.first = first;
    this.second = second;
    first.began(this);
    if (second != null) {
      second.began(this);
    }
  }

  boolean beganIn(PodRelays pod) {
    return first == pod;
  }

  /** In whose namespace the socket of the end that called is. */
  Pod clientPod() {
    return first.pod();
  }

  /** In whose namespace the socket of the end that answers is. */
  Pod serverPod() {
    return second == null ? first.pod() : second.pod();
  }

  EventLoop loop() {
    return loop;
  }

  Share share() {
    return share;
  }

  End client() {
    return client;
  }

  End server() {
    return server;
  }

  void read(boolean fromClient, int bytes) {
    if (fromClient) {
      meter.sent(bytes);
    } else {
      meter.received(bytes);
    }
    if (fromClient == inbound) {
      share.received(bytes);
    } else {
      share.sent(bytes);
    }
  }

  /** Ends both by a reset; what is not yet written is lost, as a reset means. */
  void abort() {
    if (!aborted) {
      aborted = true;
      client.reset();
      server.reset();
    }
  }

  /** {@link #abort} from another thread. */
  void abortLater() {
    loop.execute(this::abort);
  }

  /** What policy let in; null where it was not asked. */
  @Nullable Call call() {
    return call;
  }

  void call(@Nullable Call now) {
    call = now;
  }

  /** It has lost its right. Another thread. */
  void denyLater(String why) {
    loop.execute(() -> {
      if (!aborted) {
        outcome = Outcome.DENIED;
        error = "policy denied a live connection: " + why;
        abort();
      }
    });
  }

  @Override
  public long buffered() {
    return client.buffered() + server.buffered();
  }

  @Override
  public void cut(Refusal reason) {
    loop.execute(() -> {
      if (!aborted) {
        outcome = Outcome.OVERLOAD;
        error = reason.label() + ": cut for what its buffers held";
        first.shed(reason);
        abort();
      }
    });
  }

  /** Neither end wanted it; what is known of why is for the access log. */
  void tunnelEnded(String why) {
    if (!aborted) {
      error = "tunnel ended: " + why;
    }
  }

  /** Something other than the network went wrong. */
  void failed(Throwable cause) {
    error = String.valueOf(cause);
    first.log().error("relay failed", "pod", first.pod().label(), "reason", error);
  }

  /** One end is gone, in good order or not. */
  void closed(boolean inOrder) {
    if (!inOrder) {
      abort();
    }
    if (--open == 0) {
      meter.closed(outcome, error);
      first.ended(this);
      if (second != null) {
        second.ended(this);
      }
    }
  }
}

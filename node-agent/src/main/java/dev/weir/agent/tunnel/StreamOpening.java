package dev.weir.agent.tunnel;

import dev.weir.agent.telemetry.Refusal;
import io.netty.buffer.ByteBuf;
import io.netty.channel.EventLoop;
import io.netty.util.concurrent.Future;
import java.net.InetSocketAddress;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * A stream that was asked for and is not answered yet. Where its way has other tunnels it survives
 * one that ends before the far side has looked at it, not two. Owned by its event loop.
 */
final class StreamOpening implements TunnelStream.Events {
  /** Through what it is asked for. */
  interface Way {
    EventLoop loop();

    InetSocketAddress address();

    /** Asks for it once more; false where there is no other tunnel. */
    boolean openAgain(StreamOpening opening);
  }

  private final Way way;
  private final HboneRequest request;
  private final String whose;
  private final PodTunnels.Opening owner;
  private final Future<?> timeout;
  private @Nullable TunnelStream stream;
  private boolean asked;
  private boolean done;

  /**
   * @param whose who is asked, as the log calls it
   */
  StreamOpening(Way way, HboneRequest request, String whose, PodTunnels.Opening owner) {
    this.way = way;
    this.request = request;
    this.whose = whose;
    this.owner = owner;
    this.timeout =
        way.loop().schedule(this::timeout, TunnelTuning.ANSWER.toMillis(), TimeUnit.MILLISECONDS);
  }

  void begin(TunnelSession session) {
    if (!done) {
      stream = session.open(request, this);
    }
  }

  @Override
  public void answered(int status, Baggage from) {
    TunnelStream opened = stream;
    if (done || opened == null) {
      return;
    }
    if (status / 100 == 2) {
      finish();
      owner.opened(opened, from);
      return;
    }
    String where = request.authority() + " by way of " + way.address();
    // ztunnel answers 401 to whom its policy denies, and 400 or 503 to the rest.
    if (status == 401 || status == 403) {
      fail(Refusal.DENIED_THERE, "policy of " + whose + " denies " + where);
    } else {
      fail(Refusal.UNSERVED_THERE, whose + " answers " + status + " for " + where);
    }
  }

  @Override
  public void data(ByteBuf bytes) {
    bytes.release();
  }

  @Override
  public void end() {
    fail(Refusal.UNSERVED_THERE, whose + " ended the stream unanswered");
  }

  @Override
  public void reset(Reset reason) {
    if (done) {
      return;
    }
    if (reason.unprocessed() && !asked) {
      asked = true;
      stream = null;
      if (way.openAgain(this)) {
        return;
      }
    }
    fail(Refusal.TUNNEL_FAILED, reason.cause());
  }

  @Override
  public void writable() {
    // Nothing is written before the answer.
  }

  private void timeout() {
    if (!done) {
      TunnelStream waiting = stream;
      String until =
          waiting == null
              ? "no tunnel stands yet"
              : waiting.session().isGreeted() ? "CONNECT was sent" : "no SETTINGS came";
      if (waiting != null) {
        waiting.reset(ErrorCode.CANCEL);
      }
      fail(
          Refusal.CONNECT_TIMEOUT,
          "no answer from %s at %s in %d s: %s"
              .formatted(whose, way.address(), TunnelTuning.ANSWER.toSeconds(), until));
    }
  }

  void fail(Refusal reason, String detail) {
    if (!done) {
      finish();
      owner.failed(reason, detail);
    }
  }

  private void finish() {
    done = true;
    timeout.cancel(false);
  }
}

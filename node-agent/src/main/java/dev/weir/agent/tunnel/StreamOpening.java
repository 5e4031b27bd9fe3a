package dev.weir.agent.tunnel;

import dev.weir.agent.telemetry.Refusal;
import io.netty.buffer.ByteBuf;
import io.netty.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * A stream that was asked for and is not answered yet. It survives one tunnel that ends before the
 * far side has looked at it, not two. Owned by its event loop.
 */
final class StreamOpening implements TunnelStream.Events {
  private final TunnelPeer peer;
  private final HboneRequest request;
  private final PodTunnels.Opening owner;
  private final Future<?> timeout;
  private @Nullable TunnelStream stream;
  private boolean asked;
  private boolean done;

  StreamOpening(TunnelPeer peer, HboneRequest request, PodTunnels.Opening owner) {
    this.peer = peer;
    this.request = request;
    this.owner = owner;
    this.timeout =
        peer.loop().schedule(this::timeout, TunnelTuning.ANSWER.toMillis(), TimeUnit.MILLISECONDS);
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
      owner.opened(opened);
      return;
    }
    String where = request.authority() + " by way of " + peer.key().address();
    // ztunnel answers 401 to whom its policy denies, and 400 or 503 to the rest.
    if (status == 401 || status == 403) {
      fail(Refusal.DENIED_THERE, "policy of the other node denies " + where);
    } else {
      fail(Refusal.UNSERVED_THERE, "the other node answers " + status + " for " + where);
    }
  }

  @Override
  public void data(ByteBuf bytes) {
    bytes.release();
  }

  @Override
  public void end() {
    fail(Refusal.UNSERVED_THERE, "the other node ended the stream unanswered");
  }

  @Override
  public void reset(Reset reason) {
    if (done) {
      return;
    }
    if (reason.unprocessed() && !asked) {
      asked = true;
      stream = null;
      peer.open(this);
      return;
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
      if (waiting != null) {
        waiting.reset(ErrorCode.CANCEL);
      }
      fail(
          Refusal.CONNECT_TIMEOUT,
          "no answer from %s in %d s"
              .formatted(peer.key().address(), TunnelTuning.ANSWER.toSeconds()));
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

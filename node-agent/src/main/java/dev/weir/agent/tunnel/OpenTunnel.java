package dev.weir.agent.tunnel;

import dev.weir.agent.fairness.Share;
import dev.weir.agent.identity.Credentials;
import java.security.cert.X509Certificate;
import java.util.concurrent.Executor;
import org.jspecify.annotations.Nullable;

/**
 * One tunnel that stands: TLS is done and both sides speak HTTP/2. Owned by its event loop; what
 * other threads may call says so.
 */
abstract class OpenTunnel implements TunnelSession.Owner {
  private final PodTunnels pod;
  private final SecureLine line;
  private final Credentials own;
  private final X509Certificate certificate;
  private final TunnelSession session;
  private final Share share;
  private Share.@Nullable Work turn;

  /**
   * @param own what this side has shown
   * @param certificate of the other side
   */
  OpenTunnel(
      PodTunnels pod,
      SecureLine line,
      Credentials own,
      X509Certificate certificate,
      boolean serving) {
    this.pod = pod;
    this.line = line;
    this.own = own;
    this.certificate = certificate;
    this.share = pod.account().on(line.loop());
    this.session =
        serving
            ? TunnelSession.server(TunnelLimits.server(), pod.growth(), this)
            : TunnelSession.client(TunnelLimits.client(), pod.growth(), this);
  }

  /** Greets; the session may close at once where the line has died meanwhile. */
  void begin() {
    pod.tunnels().opened(this);
    line.carry(session);
    if (!line.isOpen()) {
      session.close(ErrorCode.CONNECT_ERROR, "the connection was closed");
    }
  }

  PodTunnels pod() {
    return pod;
  }

  SecureLine line() {
    return line;
  }

  Credentials own() {
    return own;
  }

  X509Certificate certificate() {
    return certificate;
  }

  TunnelSession session() {
    return session;
  }

  /** Any thread. */
  abstract Tunnels.Side side();

  /** Takes no new streams. Any thread. */
  void drain() {
    line.loop().execute(session::drain);
  }

  /** Ends it with all that is in it. Any thread. */
  void abort(String cause) {
    line.loop().execute(() -> session.close(ErrorCode.CANCEL, cause));
  }

  /** Bytes that wait in the tunnel itself, about. Any thread. */
  long buffered() {
    return line.buffered();
  }

  @Override
  public long waitingBelow() {
    // What a socket holds is of many streams.
    return 0;
  }

  @Override
  public void inTurn(Executor loop, Runnable work) {
    Share.Work known = turn;
    if (known == null) {
      known = share.work(work);
      turn = known;
    }
    known.later();
  }

  @Override
  public boolean isTurnOver() {
    return share.isOver();
  }

  @Override
  public void streamBegan() {
    pod.account().streamBegan();
  }

  @Override
  public void streamEnded() {
    pod.account().streamEnded();
  }

  @Override
  public void ready(TunnelSession ready) {
    // Streams do not wait for it: what a peer grants before is known.
  }

  @Override
  public void refused(int status, String cause) {
    pod.tunnels().badRequest(this, cause);
  }

  @Override
  public void draining(String cause) {
    pod.tunnels().log().debug("tunnel drains", "pod", pod.pod().label(), "reason", cause);
  }

  @Override
  public void abused(Abuse abuse) {
    pod.tunnels().abused(this, abuse);
  }

  @Override
  public void closed(ErrorCode code, String cause) {
    pod.tunnels().closed(this, code);
    pod.tunnels()
        .log()
        .debug("tunnel closed", "pod", pod.pod().label(), "code", code.name(), "reason", cause);
  }
}

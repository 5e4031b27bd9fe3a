package dev.weir.agent.tunnel;

import io.netty.buffer.ByteBuf;
import java.net.InetSocketAddress;
import java.util.ArrayDeque;
import org.jspecify.annotations.Nullable;

/**
 * A stream that was asked of this node's pod and is not answered yet. What the client says before
 * is kept, one stream window at most, for whoever will serve it. Owned by the tunnel's loop.
 */
public final class TunnelRequest implements TunnelStream.Events {
  private final TunnelStream stream;
  private final HboneRequest request;
  private final String principal;
  private final InetSocketAddress local;
  private final InetSocketAddress client;
  private final Baggage own;
  private @Nullable ArrayDeque<ByteBuf> early;
  private boolean ended;

  /**
   * @param principal the SPIFFE id of the caller's certificate
   * @param remote where the tunnel came from: the caller's own address
   * @param local what it was opened to
   * @param own what the pod says of itself
   */
  TunnelRequest(
      TunnelStream stream,
      HboneRequest request,
      String principal,
      InetSocketAddress remote,
      InetSocketAddress local,
      Baggage own) {
    this.stream = stream;
    this.request = request;
    this.principal = principal;
    this.local = local;
    this.own = own;
    Forwarded forwarded = request.forwarded();
    // The address is proven by the connection; only the port behind it is the caller's to tell.
    this.client =
        forwarded != null && forwarded.client().getAddress().equals(remote.getAddress())
            ? forwarded.client()
            : remote;
  }

  public String principal() {
    return principal;
  }

  /** The caller, by its own address. */
  public InetSocketAddress client() {
    return client;
  }

  /**
   * Whether it came by a gateway from another network: then the caller's address is the gateway's.
   */
  public boolean isFromElsewhere() {
    return request.network() != null;
  }

  /** The pod's address that the tunnel came to. */
  public InetSocketAddress local() {
    return local;
  }

  /** What the caller wants to be connected to. */
  public Authority target() {
    return request.authority();
  }

  /** Whether the caller still waits. */
  public boolean isOpen() {
    return !stream.isClosed();
  }

  public TunnelStream stream() {
    return stream;
  }

  /** Answers 200; the stream speaks to its new owner from now on, of what came before first. */
  public void accept(TunnelStream.Events owner) {
    stream.respond(200, own);
    stream.events(owner);
    ArrayDeque<ByteBuf> waiting = early;
    early = null;
    if (waiting != null) {
      ByteBuf bytes;
      while ((bytes = waiting.poll()) != null) {
        owner.data(bytes);
      }
    }
    if (ended && isOpen()) {
      owner.end();
    }
  }

  public void refuse(int status) {
    release();
    stream.respond(status, Baggage.NONE);
  }

  @Override
  public void answered(int status, Baggage peer) {
    throw new IllegalStateException("this side answers");
  }

  @Override
  public void data(ByteBuf bytes) {
    if (early == null) {
      early = new ArrayDeque<>(2);
    }
    early.add(bytes);
  }

  @Override
  public void end() {
    ended = true;
  }

  @Override
  public void reset(Reset reason) {
    release();
  }

  @Override
  public void writable() {
    // Nothing is written before the answer.
  }

  private void release() {
    if (early != null) {
      early.forEach(ByteBuf::release);
      early = null;
    }
  }
}

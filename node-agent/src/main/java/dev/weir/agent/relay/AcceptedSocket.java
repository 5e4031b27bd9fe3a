package dev.weir.agent.relay;

import dev.weir.agent.config.MeshView;
import dev.weir.agent.telemetry.Party;
import dev.weir.agent.telemetry.Refusal;
import io.netty.channel.EventLoop;
import io.netty.channel.socket.SocketChannel;
import java.net.InetSocketAddress;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * A socket of an in-pod listener. It joins the event loop only when its server has answered, so its
 * first bytes wait in the kernel, and a server that speaks first is heard first.
 */
final class AcceptedSocket implements Arrival {
  private final EventLoop loop;
  private final SocketChannel channel;
  private final InetSocketAddress client;
  private final Tuning tuning;
  private @Nullable SocketEnd end;

  AcceptedSocket(EventLoop loop, SocketChannel channel, InetSocketAddress client, Tuning tuning) {
    this.loop = loop;
    this.channel = channel;
    this.client = client;
    this.tuning = tuning;
  }

  @Override
  public InetSocketAddress client() {
    return client;
  }

  @Override
  public Party party(MeshView view) {
    return Party.at(client, view);
  }

  @Override
  public @Nullable String principal() {
    return null;
  }

  @Override
  public boolean isWaiting() {
    return channel.isOpen();
  }

  @Override
  public End end(Relay relay) {
    SocketEnd made = SocketEnd.ofClient(relay, channel, tuning);
    end = made;
    return made;
  }

  @Override
  public void begin(Relay relay) {
    tuning.client(channel);
    Objects.requireNonNull(end).join();
    loop.register(channel)
        .addListener(registered -> {
          if (!registered.isSuccess()) {
            relay.abort();
          }
        });
  }

  @Override
  public void refuse(Refusal reason) {
    SocketEnd.reset(channel);
  }
}

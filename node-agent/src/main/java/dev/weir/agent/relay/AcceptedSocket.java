package dev.weir.agent.relay;

import dev.weir.agent.config.MeshView;
import dev.weir.agent.telemetry.Party;
import dev.weir.agent.telemetry.Refusal;
import dev.weir.agent.transport.PodSocket;
import java.net.InetSocketAddress;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * A socket of an in-pod port. It joins the event loop only when its server has answered, so its
 * first bytes wait in the kernel, and a server that speaks first is heard first.
 */
final class AcceptedSocket implements Arrival {
  private final PodSocket socket;
  private final InetSocketAddress client;
  private final Tuning tuning;
  private @Nullable SocketEnd end;

  AcceptedSocket(PodSocket socket, InetSocketAddress client, Tuning tuning) {
    this.socket = socket;
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
    return socket.isOpen();
  }

  @Override
  public End end(Relay relay) {
    SocketEnd made = SocketEnd.ofClient(relay, socket, tuning);
    end = made;
    return made;
  }

  @Override
  public void begin(Relay relay) {
    Objects.requireNonNull(end).begin();
  }

  @Override
  public void refuse(Refusal reason) {
    socket.reset();
  }
}

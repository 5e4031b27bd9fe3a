package dev.weir.agent.dns;

import dev.weir.api.dns.DnsQuery;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * An upstream server that says what a test tells it to, on one port over UDP and TCP; silent until
 * told.
 */
final class FakeServer implements AutoCloseable {
  private final DatagramSocket udp;
  private final ServerSocket tcp;
  private final List<DnsQuery> asked = new CopyOnWriteArrayList<>();
  private final List<byte[]> extra = new CopyOnWriteArrayList<>();
  private volatile @Nullable Function<DnsQuery, byte[]> answers;
  private volatile @Nullable Function<DnsQuery, byte[]> answersTcp;

  FakeServer() {
    try {
      tcp = new ServerSocket(0, 16, InetAddress.ofLiteral("127.0.0.1"));
      udp = new DatagramSocket(tcp.getLocalPort(), InetAddress.ofLiteral("127.0.0.1"));
      udp.setReceiveBufferSize(4 << 20);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    Thread.ofPlatform().daemon().start(this::serveUdp);
    Thread.ofPlatform().daemon().start(this::serveTcp);
  }

  InetSocketAddress address() {
    return new InetSocketAddress(InetAddress.ofLiteral("127.0.0.1"), udp.getLocalPort());
  }

  List<DnsQuery> asked() {
    return asked;
  }

  void answers(Function<DnsQuery, byte[]> now) {
    answers = now;
  }

  void answersTcp(Function<DnsQuery, byte[]> now) {
    answersTcp = now;
  }

  /** Before the answer. */
  void alsoSend(byte[]... messages) {
    extra.addAll(List.of(messages));
  }

  @Override
  public void close() {
    udp.close();
    try {
      tcp.close();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private void serveUdp() {
    try {
      while (!udp.isClosed()) {
        DatagramPacket packet = new DatagramPacket(new byte[5000], 5000);
        udp.receive(packet);
        DnsQuery query = query(Arrays.copyOf(packet.getData(), packet.getLength()));
        Function<DnsQuery, byte[]> now = answers;
        if (now != null) {
          byte[] answer = now.apply(query);
          for (byte[] each : extra) {
            udp.send(new DatagramPacket(each, each.length, packet.getSocketAddress()));
          }
          extra.clear();
          udp.send(new DatagramPacket(answer, answer.length, packet.getSocketAddress()));
        }
        asked.add(query);
      }
    } catch (IOException e) {
      ended(e, udp.isClosed());
    }
  }

  private void serveTcp() {
    try {
      while (!tcp.isClosed()) {
        try (Socket socket = tcp.accept()) {
          DataInputStream in = new DataInputStream(socket.getInputStream());
          DnsQuery query = query(in.readNBytes(in.readUnsignedShort()));
          Function<DnsQuery, byte[]> now = answersTcp;
          if (now != null) {
            byte[] answer = now.apply(query);
            DataOutputStream out = new DataOutputStream(socket.getOutputStream());
            out.writeShort(answer.length);
            out.write(answer);
          }
        }
      }
    } catch (IOException e) {
      ended(e, tcp.isClosed());
    }
  }

  private static void ended(IOException cause, boolean closed) {
    if (!closed) {
      throw new UncheckedIOException(cause);
    }
  }

  private static DnsQuery query(byte[] message) {
    return ((DnsQuery.Query) DnsQuery.parse(message)).query();
  }
}

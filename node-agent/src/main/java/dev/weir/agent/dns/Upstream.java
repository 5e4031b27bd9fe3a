package dev.weir.agent.dns;

import dev.weir.api.dns.Dns;
import dev.weir.api.dns.DnsException;
import dev.weir.api.dns.DnsQuery;
import dev.weir.api.dns.DnsQuestion;
import dev.weir.api.dns.DnsReply;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufUtil;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelHandler;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelOption;
import io.netty.channel.EventLoop;
import io.netty.channel.FixedRecvByteBufAllocator;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.channel.socket.DatagramPacket;
import io.netty.channel.socket.SocketChannel;
import io.netty.handler.codec.LengthFieldBasedFrameDecoder;
import io.netty.util.collection.IntObjectHashMap;
import io.netty.util.collection.IntObjectMap;
import io.netty.util.concurrent.ScheduledFuture;
import java.net.InetSocketAddress;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * Asks the upstream servers for one pod, from a socket in its namespace. On the pod's event loop.
 *
 * <p>A reply counts only where address, ID and question all match one that waits (RFC 5452 §9): IDs
 * come from a secure generator, and a message that matches nothing is counted and changes nothing,
 * so a forger has one chance in 65,536 a packet and does not shorten the wait. Two tries of two
 * seconds end before a resolver's five.
 */
final class Upstream {
  static final int MAX_IN_FLIGHT = 512;
  static final int MAX_UDP_BYTES = 4096;
  private static final int TRIES = 2;
  private static final int TRY_MILLIS = 2_000;

  /**
   * Called once, on the loop: the reply, which the caller may change, or null where there is none.
   */
  @FunctionalInterface
  interface Taker {
    void reply(byte @Nullable [] message);
  }

  private static final SecureRandom RANDOM = new SecureRandom();

  private final EventLoop loop;
  private final List<InetSocketAddress> servers;
  private final DnsSockets sockets;
  private final DnsCounters counters;
  private final IntObjectMap<Pending> pending = new IntObjectHashMap<>(8);
  private int overTcp;
  private @Nullable Channel channel;
  private int preferred;

  Upstream(
      EventLoop loop, List<InetSocketAddress> servers, DnsSockets sockets, DnsCounters counters) {
    this.loop = loop;
    this.servers = servers;
    this.sockets = sockets;
    this.counters = counters;
  }

  boolean isAbsent() {
    return servers.isEmpty();
  }

  /** Before the first question. */
  void channel(Channel asking) {
    asking
        .config()
        .setOption(ChannelOption.RECVBUF_ALLOCATOR, new FixedRecvByteBufAllocator(MAX_UDP_BYTES));
    channel = asking;
  }

  ChannelHandler handler() {
    return new Replies();
  }

  /** False where too many questions of the pod are on their way already. */
  boolean forward(DnsQuery query, boolean tcp, Taker taker) {
    return begin(new Pending(freshId(), query.question(), query, tcp, taker));
  }

  /** Asks a question of our own; a reply that was cut off is fetched whole. */
  boolean ask(DnsQuestion question, Taker taker) {
    return begin(new Pending(freshId(), question, null, true, taker));
  }

  /** On the loop. */
  int inFlight() {
    return pending.size() + overTcp;
  }

  /** Any thread. Who still waits is told that nothing comes. */
  void close() {
    loop.execute(() -> {
      List<Pending> waiting = new ArrayList<>(pending.values());
      waiting.forEach(each -> each.end(null));
    });
  }

  private boolean begin(Pending question) {
    if (pending.size() + overTcp >= MAX_IN_FLIGHT) {
      return false;
    }
    pending.put(question.id, question);
    question.attempt();
    return true;
  }

  private int freshId() {
    while (true) {
      int id = RANDOM.nextInt(0x10000);
      if (!pending.containsKey(id)) {
        return id;
      }
    }
  }

  /** One question on its way. */
  private final class Pending {
    private final int id;
    private final DnsQuestion question;
    private final @Nullable DnsQuery original;
    private final boolean whole;
    private final Taker taker;
    private int tries;
    private InetSocketAddress server;
    private @Nullable ScheduledFuture<?> timer;

    Pending(int id, DnsQuestion question, @Nullable DnsQuery original, boolean whole, Taker taker) {
      this.id = id;
      this.question = question;
      this.original = original;
      this.whole = whole;
      this.taker = taker;
      this.server = servers.get(preferred % servers.size());
    }

    void attempt() {
      Channel asking = channel;
      if (asking == null || !asking.isActive()) {
        end(null);
        return;
      }
      if (tries > 0) {
        // Whoever did not answer is asked last from now on.
        if (server.equals(servers.get(preferred % servers.size()))) {
          preferred = (preferred + 1) % servers.size();
        }
        server = servers.get((servers.indexOf(server) + 1) % servers.size());
      }
      tries++;
      counters.upstreamRequests.increment();
      asking.writeAndFlush(
          new DatagramPacket(Unpooled.wrappedBuffer(message()), server), asking.voidPromise());
      timer = loop.schedule(this::timeout, TRY_MILLIS, TimeUnit.MILLISECONDS);
    }

    byte[] message() {
      DnsQuery query = original;
      return query != null ? query.forwarded(id, MAX_UDP_BYTES) : DnsQuery.encode(id, question);
    }

    private void timeout() {
      if (tries < Math.max(TRIES, servers.size())) {
        attempt();
      } else {
        counters.upstreamFailures.increment();
        end(null);
      }
    }

    void end(byte @Nullable [] reply) {
      ScheduledFuture<?> running = timer;
      if (running != null) {
        running.cancel(false);
      }
      if (pending.remove(id) == this) {
        taker.reply(reply);
      }
    }

    boolean isAnsweredBy(DnsReply reply) {
      // A server that cannot read the question leaves it out (RFC 1035 §4.1.1); its ID and address
      // still match.
      DnsQuestion echoed = reply.question();
      return echoed == null ? reply.rcode() != Dns.NOERROR : echoed.equals(question);
    }

    /**
     * The same question once more, over TCP, where the reply was cut off and the asker can take it
     * whole.
     */
    void overTcp() {
      ScheduledFuture<?> running = timer;
      if (running != null) {
        running.cancel(false);
      }
      pending.remove(id);
      overTcp++;
      counters.upstreamRequests.increment();
      new TcpQuestion(this).dial();
    }
  }

  private final class Replies extends SimpleChannelInboundHandler<DatagramPacket> {
    @Override
    protected void channelRead0(ChannelHandlerContext context, DatagramPacket packet) {
      byte[] message = ByteBufUtil.getBytes(packet.content());
      DnsReply head;
      try {
        head = DnsReply.head(message);
      } catch (DnsException e) {
        counters.upstreamMismatches.increment();
        return;
      }
      Pending question = pending.get(head.id());
      if (question == null
          || !question.server.equals(packet.sender())
          || !question.isAnsweredBy(head)) {
        counters.upstreamMismatches.increment();
        return;
      }
      if (head.truncated() && question.whole) {
        question.overTcp();
      } else {
        question.end(message);
      }
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
      // An ICMP error says that a server refuses; the question's own timer moves to the next.
    }
  }

  /** One question over one connection to an upstream server. */
  private final class TcpQuestion implements DnsSockets.Taker {
    private final Pending question;
    private boolean ended;
    private @Nullable Channel connection;
    private @Nullable ScheduledFuture<?> timer;

    TcpQuestion(Pending question) {
      this.question = question;
    }

    void dial() {
      timer = loop.schedule(() -> end(null), TRY_MILLIS, TimeUnit.MILLISECONDS);
      sockets.dial(loop, this);
    }

    @Override
    public void socket(SocketChannel socket) {
      if (ended) {
        socket.unsafe().closeForcibly();
        return;
      }
      connection = socket;
      socket
          .pipeline()
          .addLast(new LengthFieldBasedFrameDecoder(2 + Dns.MAX_TCP_BYTES, 0, 2, 0, 2))
          .addLast(new Frames());
      loop.register(socket)
          .addListener(registered -> {
            if (registered.isSuccess()) {
              socket
                  .connect(question.server)
                  .addListener(connected -> connected(connected.isSuccess(), socket));
            } else {
              end(null);
            }
          });
    }

    @Override
    public void none(Throwable why) {
      end(null);
    }

    private void connected(boolean success, SocketChannel socket) {
      if (!success) {
        end(null);
        return;
      }
      byte[] message = question.message();
      byte[] prefix = {(byte) (message.length >> 8), (byte) message.length};
      socket.writeAndFlush(Unpooled.wrappedBuffer(prefix, message), socket.voidPromise());
    }

    private void end(byte @Nullable [] reply) {
      if (ended) {
        return;
      }
      ended = true;
      overTcp--;
      ScheduledFuture<?> running = timer;
      if (running != null) {
        running.cancel(false);
      }
      Channel open = connection;
      if (open != null) {
        var _ = open.close();
      }
      if (reply == null) {
        counters.upstreamFailures.increment();
      }
      question.taker.reply(reply);
    }

    private final class Frames extends SimpleChannelInboundHandler<ByteBuf> {
      @Override
      protected void channelRead0(ChannelHandlerContext context, ByteBuf frame) {
        byte[] message = ByteBufUtil.getBytes(frame);
        try {
          DnsReply head = DnsReply.head(message);
          if (head.id() == question.id && question.isAnsweredBy(head)) {
            end(message);
            return;
          }
        } catch (DnsException e) {
          // Falls through to the count: it is no answer of any kind.
        }
        counters.upstreamMismatches.increment();
      }

      @Override
      public void channelInactive(ChannelHandlerContext context) {
        end(null);
      }

      @Override
      public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
        end(null);
      }
    }
  }
}

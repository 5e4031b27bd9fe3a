package dev.weir.agent.identity;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;
import javax.net.ssl.SSLException;

/** A handshake between two ends in memory. */
final class SelfHandshake {
  private static final int MOST_FLIGHTS = 20;
  private static final int FLIGHT = 8_192;

  private SelfHandshake() {}

  /** Frees both ends, however it comes out. */
  static void run(TlsEnd client, TlsEnd server) throws SSLException {
    ByteBuf there = ByteBufAllocator.DEFAULT.directBuffer(FLIGHT);
    ByteBuf back = ByteBufAllocator.DEFAULT.directBuffer(FLIGHT);
    try {
      for (int i = 0; i < MOST_FLIGHTS && !(client.isShaken() && server.isShaken()); i++) {
        step(client, back, there);
        step(server, there, back);
      }
      if (!client.isShaken() || !server.isShaken()) {
        throw new SSLException("a handshake with itself does not finish");
      }
    } catch (TlsFailure e) {
      throw new SSLException(e.getMessage(), e.getCause() == null ? e : e.getCause());
    } finally {
      there.release();
      back.release();
      client.close();
      server.close();
    }
  }

  private static void step(TlsEnd end, ByteBuf heard, ByteBuf said) throws TlsFailure {
    if (!end.isShaken()) {
      end.shake(heard);
    }
    end.say(said);
  }
}

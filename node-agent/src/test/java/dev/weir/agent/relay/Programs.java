package dev.weir.agent.relay;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.EOFException;
import java.io.IOException;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;

/** What the programs of two pods do with their connections. */
final class Programs {
  private Programs() {}

  static void send(SocketChannel channel, String text) throws IOException {
    channel.write(ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8)));
  }

  static String receive(SocketChannel channel, int bytes) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(bytes);
    while (buffer.hasRemaining()) {
      if (channel.read(buffer) < 0) {
        throw new EOFException("%d of %d bytes".formatted(buffer.position(), bytes));
      }
    }
    return new String(buffer.array(), StandardCharsets.UTF_8);
  }

  /** Sends, and waits until it is there. */
  static void say(SocketChannel from, SocketChannel to, String text) throws IOException {
    send(from, text);
    assertThat(receive(to, text.length())).isEqualTo(text);
  }

  static void reset(SocketChannel channel) throws IOException {
    channel.setOption(StandardSocketOptions.SO_LINGER, 0);
    channel.close();
  }

  static void assertReset(SocketChannel channel) {
    assertThatThrownBy(() -> receive(channel, 1))
        .isInstanceOf(IOException.class)
        .isNotInstanceOf(EOFException.class);
  }
}

package dev.weir.agent.fairness;

import static org.assertj.core.api.Assertions.assertThat;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.embedded.EmbeddedChannel;
import io.netty.channel.socket.ChannelInputShutdownEvent;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

final class TurnstileTest {
  private final Bench loop = new Bench();
  private final Share share = loop.share("pod", 100);
  private final List<String> seen = new ArrayList<>();
  private final EmbeddedChannel channel = new EmbeddedChannel();
  private final Turnstile turnstile = new Turnstile(share, channel);

  TurnstileTest() {
    channel
        .pipeline()
        .addLast(
            turnstile,
            new ChannelInboundHandlerAdapter() {
              @Override
              public void channelRead(ChannelHandlerContext context, Object message) {
                ByteBuf bytes = (ByteBuf) message;
                seen.add(bytes.toString(StandardCharsets.US_ASCII));
                bytes.release();
              }

              @Override
              public void channelReadComplete(ChannelHandlerContext context) {
                seen.add("complete");
              }

              @Override
              public void userEventTriggered(ChannelHandlerContext context, Object event) {
                seen.add("end");
              }

              @Override
              public void channelInactive(ChannelHandlerContext context) {
                seen.add("gone");
              }
            });
  }

  private ByteBuf read(String text) {
    ByteBuf bytes = Unpooled.copiedBuffer(text, StandardCharsets.US_ASCII);
    channel.pipeline().fireChannelRead(bytes);
    return bytes;
  }

  private void spendTheTurn() {
    share.atOnce(() -> loop.nanos += Turns.QUANTUM_NANOS);
  }

  @Test
  void inItsTurnAPodNoticesNothing() {
    read("a");
    read("b");
    channel.pipeline().fireChannelReadComplete();
    assertThat(seen).containsExactly("a", "b", "complete");
    assertThat(channel.config().isAutoRead()).isTrue();
  }

  @Test
  void afterItsTurnWhatCameWaitsAndNoMoreIsRead() {
    spendTheTurn();
    read("abc");
    channel.pipeline().fireChannelReadComplete();
    assertThat(seen).isEmpty();
    assertThat(turnstile.heldBytes()).isEqualTo(3);
    assertThat(channel.config().isAutoRead()).isFalse();
    loop.finishRound();
    loop.finishRound();
    assertThat(seen).containsExactly("abc", "complete");
    assertThat(turnstile.heldBytes()).isZero();
    assertThat(channel.config().isAutoRead()).isTrue();
  }

  @Test
  void whoIsNotToBeReadIsNotReadWhenTheTurnHasCome() {
    spendTheTurn();
    read("a");
    turnstile.reading(false);
    loop.finishRound();
    loop.finishRound();
    assertThat(seen).containsExactly("a", "complete");
    assertThat(channel.config().isAutoRead()).isFalse();
    turnstile.reading(true);
    assertThat(channel.config().isAutoRead()).isTrue();
  }

  @Test
  void theEndOfInputPassesNothing() {
    spendTheTurn();
    read("last words");
    channel.pipeline().fireUserEventTriggered(ChannelInputShutdownEvent.INSTANCE);
    assertThat(seen).containsExactly("last words", "complete", "end");
    // Asking for more after the end fails on epoll.
    assertThat(channel.config().isAutoRead()).isFalse();
    loop.finishRound();
    loop.finishRound();
    assertThat(seen).hasSize(3);
  }

  @Test
  void theEndOfTheChannelPassesNothing() {
    spendTheTurn();
    read("last words");
    channel.close();
    assertThat(seen).containsExactly("last words", "complete", "gone");
  }

  @Test
  void whatIsHeldIsReleasedWithTheHandler() {
    spendTheTurn();
    ByteBuf held = read("a");
    channel.pipeline().remove(turnstile);
    assertThat(held.refCnt()).isZero();
    loop.finishRound();
    loop.finishRound();
    assertThat(seen).isEmpty();
  }
}

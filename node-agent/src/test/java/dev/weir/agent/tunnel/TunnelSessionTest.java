package dev.weir.agent.tunnel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.handler.codec.http2.DefaultHttp2Headers;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

class TunnelSessionTest {
  private static final TunnelLimits SMALL =
      new TunnelLimits(1000, 1000, 1000, Frame.DEFAULT_WINDOW, 2, 16_384, 1024);

  @AfterEach
  void everyByteIsGivenBack() {
    Wire.closeAll();
  }

  // ---- greeting and time

  @Test
  void bothSidesGreetAtOnce() {
    List<Wire.Sent> client = Wire.fresh(true).sent();
    assertThat(client)
        .extracting(Wire.Sent::type)
        .containsExactly(Frame.SETTINGS, Frame.WINDOW_UPDATE);
    assertThat(client.getLast().number()).isEqualTo((16 << 20) - Frame.DEFAULT_WINDOW);
    ByteBuf settings = Unpooled.wrappedBuffer(client.getFirst().payload());
    assertThat(settings.getShort(18)).isEqualTo((short) Frame.ENABLE_PUSH);
    assertThat(settings.getInt(20)).isZero();
    assertThat(Wire.fresh(false).sent()).hasSize(2);
  }

  @Test
  void aPeerThatNeverGreetsIsGivenUp() {
    Wire wire = Wire.fresh(false);
    wire.sent();
    advance(wire, 9);
    assertThat(wire.channel.isOpen()).isTrue();
    advance(wire, 1);
    wire.expectGoAway(ErrorCode.SETTINGS_TIMEOUT);
  }

  @Test
  void pingsAreSentAndAnswered() {
    Wire wire = Wire.server();
    wire.send(Wire.ping(77, false));
    Wire.Sent answer = wire.only(Frame.PING);
    assertThat(answer.flags()).isEqualTo(Frame.ACK);
    assertThat(Unpooled.wrappedBuffer(answer.payload()).readLong()).isEqualTo(77);
    for (int i = 0; i < 5; i++) {
      advance(wire, 10);
      Wire.Sent ping = wire.only(Frame.PING);
      wire.send(Wire.ping(Unpooled.wrappedBuffer(ping.payload()).readLong(), true));
    }
    assertThat(wire.channel.isOpen()).isTrue();
  }

  @Test
  void aPeerThatAnswersNoPingIsDeadAfterTwentySeconds() {
    Wire wire = Wire.client();
    Recording events = wire.tunnel();
    advance(wire, 29);
    assertThat(wire.channel.isOpen()).isTrue();
    advance(wire, 1);
    wire.expectGoAway(ErrorCode.CONNECT_ERROR);
    assertThat(events.wasReset().origin()).isEqualTo(Reset.Origin.SESSION);
  }

  private static void advance(Wire wire, int seconds) {
    wire.channel.advanceTimeBy(seconds, TimeUnit.SECONDS);
    wire.channel.runScheduledPendingTasks();
    wire.turn();
  }

  // ---- a tunnel's life

  @Test
  void aTunnelIsOpenedAnsweredAndEndsBothWaysApart() {
    Wire wire = Wire.server();
    Recording events = wire.tunnel();
    wire.send(Wire.data(1, 5, true));
    assertThat(events.received.readableBytes()).isEqualTo(5);
    assertThat(events.events).containsExactly("end");
    wire.write(events, 7);
    Wire.Sent data = wire.only(Frame.DATA);
    assertThat(data.payload()).hasSize(7);
    assertThat(data.ends()).isFalse();
    assertThat(wire.session.open()).isOne();
    events.stream().end();
    assertThat(wire.only(Frame.DATA).ends()).isTrue();
    assertThat(wire.session.open()).isZero();
    assertThat(events.stream().isClosed()).isTrue();
  }

  @Test
  void outputMayEndFirstAndInputGoesOn() {
    Wire wire = Wire.client();
    Recording events = wire.tunnel();
    wire.write(events, 3);
    events.stream().end();
    assertThat(wire.only(Frame.DATA).ends()).isTrue();
    wire.send(Wire.data(1, 9, false));
    wire.send(Wire.data(1, 0, true));
    assertThat(events.received.readableBytes()).isEqualTo(9);
    assertThat(events.events).containsExactly("answered 200", "end");
    assertThat(wire.session.open()).isZero();
  }

  @Test
  void nothingLeavesBeforeTheAnswer() {
    Wire wire = Wire.client();
    Recording events = new Recording();
    events.stream = wire.session.open(Wire.REQUEST, events);
    wire.write(events, 10);
    events.stream().end();
    assertThat(wire.sent()).extracting(Wire.Sent::type).containsExactly(Frame.HEADERS);
    wire.send(wire.status(1, 200, false));
    assertThat(wire.only(Frame.DATA).payload()).hasSize(10);
  }

  @Test
  void aRefusalEndsTheTunnelAndDropsWhatWaits() {
    Wire wire = Wire.client();
    Recording events = new Recording();
    events.stream = wire.session.open(Wire.REQUEST, events);
    ByteBuf early = wire.channel.alloc().buffer().writeZero(10);
    events.stream().write(early);
    wire.send(wire.status(1, 401, true));
    assertThat(events.events).containsExactly("answered 401", "end");
    assertThat(early.refCnt()).isZero();
    assertThat(wire.sent(Frame.DATA)).isEmpty();
    assertThat(wire.session.open()).isZero();
  }

  @Test
  void ourRefusalIsWholeAndKeepsNothing() {
    Wire wire = Wire.server();
    wire.answers = false;
    wire.onOpened = events -> events.stream().respond(503, Baggage.NONE);
    wire.send(wire.connect(1));
    List<Wire.Sent> sent = wire.sent();
    assertThat(sent).extracting(Wire.Sent::type).containsExactly(Frame.HEADERS, Frame.RST_STREAM);
    assertThat(sent.getFirst().ends()).isTrue();
    assertThat(wire.decode(sent.getFirst()).status()).hasToString("503");
    assertThat(sent.getLast().code()).isEqualTo(ErrorCode.NO_ERROR);
    assertThat(wire.session.open()).isZero();
    wire.send(Wire.data(1, 100, true));
    assertThat(wire.channel.isOpen()).isTrue();
  }

  @Test
  void aResetGoesBothWaysAndReleasesWhatWaits() {
    Wire wire = Wire.server();
    Recording events = wire.tunnel();
    wire.send(Wire.setting(Frame.INITIAL_WINDOW_SIZE, 0));
    wire.sent();
    Recording second = wire.tunnel();
    ByteBuf waits = wire.channel.alloc().buffer().writeZero(100);
    second.stream().write(waits);
    wire.send(Wire.frame(Frame.RST_STREAM, 0, 3, 0, 0, 0, 8));
    assertThat(second.wasReset().code()).isEqualTo(ErrorCode.CANCEL);
    assertThat(second.wasReset().unprocessed()).isFalse();
    assertThat(waits.refCnt()).isZero();
    events.stream().reset(ErrorCode.CONNECT_ERROR);
    assertThat(wire.only(Frame.RST_STREAM).code()).isEqualTo(ErrorCode.CONNECT_ERROR);
    assertThat(events.events).isEmpty();
    ByteBuf late = wire.channel.alloc().buffer().writeZero(1);
    events.stream().write(late);
    assertThat(late.refCnt()).isZero();
    assertThat(wire.session.open()).isZero();
  }

  @Test
  void refusedStreamsAreSafeToAskForAgain() {
    Wire wire = Wire.client();
    Recording events = wire.tunnel();
    wire.send(Wire.frame(Frame.RST_STREAM, 0, 1, 0, 0, 0, 7));
    assertThat(events.wasReset().unprocessed()).isTrue();
  }

  // ---- windows

  @Test
  void thePeersWindowsAreNeverExceeded() {
    Wire wire = Wire.server();
    Recording events = wire.tunnel();
    wire.write(events, 70_000);
    assertThat(bytes(wire.sent(Frame.DATA))).isEqualTo(Frame.DEFAULT_WINDOW);
    wire.send(Wire.window(1, 10_000));
    assertThat(wire.sent(Frame.DATA)).isEmpty();
    wire.send(Wire.window(0, 100));
    assertThat(bytes(wire.sent(Frame.DATA))).isEqualTo(100);
    wire.send(Wire.window(0, 100_000));
    assertThat(bytes(wire.sent(Frame.DATA))).isEqualTo(70_000 - Frame.DEFAULT_WINDOW - 100);
  }

  @Test
  void aLongPieceWithRoomInFrontLeavesInFramesAsLongAsThePeerTakes() {
    for (int longest : new int[] {16_384, 20_000, 1 << 20}) {
      Wire wire = Wire.server();
      Recording events = wire.tunnel();
      wire.send(Wire.setting(Frame.MAX_FRAME_SIZE, longest));
      wire.send(Wire.window(0, 1 << 20));
      wire.send(Wire.window(1, 1 << 20));
      byte[] bytes = new byte[120_000];
      new Random(longest).nextBytes(bytes);
      wire.sent();
      events.stream().ownsWhatIsWritten();
      wire.writeAfter(events, TunnelStream.HEADROOM, Arrays.copyOf(bytes, 100_000));
      wire.writeAfter(events, 0, Arrays.copyOfRange(bytes, 100_000, 100_100));
      wire.writeAfter(
          events, TunnelStream.HEADROOM, Arrays.copyOfRange(bytes, 100_100, bytes.length));
      ByteBuf came = Unpooled.buffer();
      int most = 0;
      for (Wire.Sent each : wire.sent(Frame.DATA)) {
        most = Math.max(most, each.payload().length);
        came.writeBytes(each.payload());
      }
      assertThat(came).isEqualTo(Unpooled.wrappedBuffer(bytes));
      assertThat(most).isEqualTo(Math.min(longest, 4 * 16_384 - Frame.HEAD));
    }
  }

  @Test
  void aSmallerInitialWindowMayTurnAWindowNegative() {
    Wire wire = Wire.server();
    Recording events = wire.tunnel();
    wire.write(events, 1_000);
    wire.sent();
    wire.send(Wire.setting(Frame.INITIAL_WINDOW_SIZE, 500));
    wire.write(events, 10);
    assertThat(wire.sent(Frame.DATA)).isEmpty();
    wire.send(Wire.window(1, 500));
    assertThat(wire.sent(Frame.DATA)).isEmpty();
    wire.send(Wire.window(1, 4));
    assertThat(bytes(wire.sent(Frame.DATA))).isEqualTo(4);
    wire.send(Wire.setting(Frame.INITIAL_WINDOW_SIZE, 600));
    assertThat(bytes(wire.sent(Frame.DATA))).isEqualTo(6);
  }

  @Test
  void aStreamIsCreditedWhenItsBytesAreConsumedAndTheConnectionWhenTheyCome() {
    Wire wire = Wire.server(SMALL);
    wire.consumes = false;
    Recording events = wire.tunnel();
    wire.send(Wire.data(1, 1000, false));
    assertThat(wire.sent(Frame.WINDOW_UPDATE)).isEmpty();
    assertThat(events.stream().held()).isEqualTo(1000);
    events.stream().consumed(499);
    assertThat(wire.sent()).isEmpty();
    events.stream().consumed(1);
    Wire.Sent credit = wire.only(Frame.WINDOW_UPDATE);
    assertThat(credit.stream()).isOne();
    assertThat(credit.number()).isEqualTo(500);
    assertThatIllegalArgumentException().isThrownBy(() -> events.stream().consumed(501));
    int late = Frame.DEFAULT_WINDOW / 2 - 1000;
    events.stream().reset(ErrorCode.CANCEL);
    wire.sent();
    for (int left = late; left > 0; left -= Math.min(left, 10_000)) {
      wire.send(Wire.data(1, Math.min(left, 10_000), false));
    }
    Wire.Sent connection = wire.only(Frame.WINDOW_UPDATE);
    assertThat(connection.stream()).isZero();
    assertThat(connection.number()).isEqualTo(Frame.DEFAULT_WINDOW / 2);
  }

  @Test
  void paddingIsCreditedByItself() {
    Wire wire = Wire.server(SMALL);
    Recording events = wire.tunnel();
    ByteBuf padded =
        Frame.head(Unpooled.buffer(), 501, Frame.DATA, Frame.PADDED, 1)
            .writeByte(200)
            .writeZero(500);
    wire.send(padded);
    assertThat(events.received.readableBytes()).isEqualTo(300);
    assertThat(wire.only(Frame.WINDOW_UPDATE).number()).isEqualTo(501);
  }

  @Test
  void aPeerThatHasNotHeardHowLittleItMaySendMaySendWhatEveryPeerTakes() {
    Wire wire = Wire.unacknowledged(SMALL);
    wire.consumes = false;
    Recording events = wire.tunnel();
    wire.send(Wire.data(1, 5000, false));
    assertThat(events.received.readableBytes()).isEqualTo(5000);
    wire.send(Wire.frame(Frame.SETTINGS, Frame.ACK, 0));
    assertThat(wire.sent()).isEmpty();
    events.stream().consumed(4500);
    assertThat(wire.only(Frame.WINDOW_UPDATE).number()).isEqualTo(4500);
    wire.send(Wire.data(1, 501, false));
    assertThat(wire.only(Frame.RST_STREAM).code()).isEqualTo(ErrorCode.FLOW_CONTROL_ERROR);
  }

  @Test
  void tooMuchForAStreamResetsItAndTooMuchForTheConnectionEndsIt() {
    Wire wire = Wire.server(SMALL);
    wire.consumes = false;
    Recording events = wire.tunnel();
    wire.send(Wire.data(1, 1001, false));
    assertThat(wire.only(Frame.RST_STREAM).code()).isEqualTo(ErrorCode.FLOW_CONTROL_ERROR);
    assertThat(events.wasReset().origin()).isEqualTo(Reset.Origin.ERROR);
    TunnelLimits wide =
        new TunnelLimits(1 << 20, 1 << 20, 1 << 20, Frame.DEFAULT_WINDOW, 2, 1 << 20, 1024);
    Wire other = Wire.server(wide);
    other.tunnel();
    other.send(Wire.data(1, Frame.DEFAULT_WINDOW + 1, false));
    other.expectGoAway(ErrorCode.FLOW_CONTROL_ERROR);
  }

  @Test
  void aStreamThatNobodyReadsDoesNotStopItsNeighbour() {
    Wire wire =
        Wire.server(
            new TunnelLimits(30_000, 30_000, 30_000, Frame.DEFAULT_WINDOW, 100, 16_384, 1024));
    wire.consumes = false;
    wire.tunnel();
    wire.send(Wire.data(1, 16_000, false));
    wire.send(Wire.data(1, 14_000, false));
    wire.consumes = true;
    Recording reader = wire.tunnel();
    for (int i = 0; i < 100; i++) {
      wire.send(Wire.data(3, 10_000, false));
    }
    assertThat(reader.received.readableBytes()).isEqualTo(1_000_000);
    assertThat(wire.channel.isOpen()).isTrue();
  }

  // ---- writing

  @Test
  void streamsTakeTurnsAndFillTlsRecords() {
    Wire wire = Wire.server();
    Recording first = wire.tunnel();
    Recording second = wire.tunnel();
    wire.write(first, 200_000);
    wire.write(second, 50_000);
    List<Wire.Sent> sent = wire.sent(Frame.DATA);
    assertThat(sent).extracting(Wire.Sent::stream).containsExactly(1, 3, 1, 3, 1);
    assertThat(sent.getFirst().payload()).hasSize(16_384 - Frame.HEAD);
    assertThat(bytes(sent)).isEqualTo(Frame.DEFAULT_WINDOW);
  }

  @Test
  void whatIsWrittenInOneTurnIsFlushedOnce() {
    Wire wire = Wire.server();
    Recording events = wire.tunnel();
    wire.write(events, 10);
    wire.write(events, 20);
    assertThat(wire.channel.outboundMessages()).isEmpty();
    Wire.Sent data = wire.only(Frame.DATA);
    assertThat(data.payload()).hasSize(30);
  }

  @Test
  void aWriterIsToldToStopAndToGoOn() {
    Wire wire = Wire.server();
    Recording events = wire.tunnel();
    wire.write(events, TunnelStream.HIGH);
    assertThat(events.stream().isWritable()).isTrue();
    wire.write(events, Frame.DEFAULT_WINDOW);
    assertThat(events.stream().isWritable()).isFalse();
    wire.turn();
    assertThat(events.stream().waiting()).isEqualTo(TunnelStream.HIGH);
    assertThat(events.events).isEmpty();
    wire.send(Wire.window(1, 1 << 20));
    wire.send(Wire.window(0, TunnelStream.HIGH - TunnelStream.LOW));
    assertThat(events.events).isEmpty();
    wire.send(Wire.window(0, 1));
    assertThat(events.events).containsExactly("writable");
    assertThat(events.stream().isWritable()).isTrue();
  }

  // ---- what RFC 9113 calls errors

  @TestFactory
  Stream<DynamicTest> connectionErrors() {
    record Case(String name, ErrorCode code, ByteBuf frame) {}
    return Stream.of(
            new Case("DATA on stream 0", ErrorCode.PROTOCOL_ERROR, Wire.data(0, 1, false)),
            new Case("DATA on an idle stream", ErrorCode.PROTOCOL_ERROR, Wire.data(5, 1, false)),
            new Case(
                "DATA on our own kind of stream", ErrorCode.PROTOCOL_ERROR, Wire.data(2, 1, false)),
            new Case(
                "padding beyond the frame",
                ErrorCode.PROTOCOL_ERROR,
                Wire.frame(0, Frame.PADDED, 1, 2, 0)),
            new Case(
                "padded DATA of length 0",
                ErrorCode.FRAME_SIZE_ERROR,
                Wire.frame(0, Frame.PADDED, 1)),
            new Case("HEADERS on stream 0", ErrorCode.PROTOCOL_ERROR, Wire.frame(1, 4, 0, 0x82)),
            new Case(
                "HEADERS too short",
                ErrorCode.FRAME_SIZE_ERROR,
                Wire.frame(1, Frame.PRIORITISED, 3, 1)),
            new Case(
                "HEADERS on an even stream", ErrorCode.PROTOCOL_ERROR, Wire.frame(1, 4, 2, 0x82)),
            new Case(
                "a broken header block", ErrorCode.COMPRESSION_ERROR, Wire.frame(1, 4, 3, 0xff)),
            new Case(
                "PRIORITY on stream 0",
                ErrorCode.PROTOCOL_ERROR,
                Wire.frame(2, 0, 0, 0, 0, 0, 0, 0)),
            new Case(
                "RST_STREAM on stream 0",
                ErrorCode.PROTOCOL_ERROR,
                Wire.frame(3, 0, 0, 0, 0, 0, 8)),
            new Case(
                "RST_STREAM on an idle stream",
                ErrorCode.PROTOCOL_ERROR,
                Wire.frame(3, 0, 9, 0, 0, 0, 8)),
            new Case(
                "RST_STREAM of 3 bytes", ErrorCode.FRAME_SIZE_ERROR, Wire.frame(3, 0, 1, 0, 0, 8)),
            new Case("SETTINGS on a stream", ErrorCode.PROTOCOL_ERROR, Wire.frame(4, 0, 1)),
            new Case(
                "SETTINGS of 5 bytes",
                ErrorCode.FRAME_SIZE_ERROR,
                Wire.frame(4, 0, 0, 0, 1, 0, 0, 0)),
            new Case(
                "SETTINGS ack with payload",
                ErrorCode.FRAME_SIZE_ERROR,
                Wire.frame(4, 1, 0, 0, 1, 0, 0, 0, 0)),
            new Case("ENABLE_PUSH 2", ErrorCode.PROTOCOL_ERROR, Wire.setting(Frame.ENABLE_PUSH, 2)),
            new Case(
                "INITIAL_WINDOW_SIZE 2^31",
                ErrorCode.FLOW_CONTROL_ERROR,
                Wire.setting(Frame.INITIAL_WINDOW_SIZE, 1L << 31)),
            new Case(
                "MAX_FRAME_SIZE 16383",
                ErrorCode.PROTOCOL_ERROR,
                Wire.setting(Frame.MAX_FRAME_SIZE, 16_383)),
            new Case(
                "MAX_FRAME_SIZE 2^24",
                ErrorCode.PROTOCOL_ERROR,
                Wire.setting(Frame.MAX_FRAME_SIZE, 1 << 24)),
            new Case("PUSH_PROMISE", ErrorCode.PROTOCOL_ERROR, Wire.frame(5, 4, 1, 0, 0, 0, 2)),
            new Case(
                "PING on a stream",
                ErrorCode.PROTOCOL_ERROR,
                Wire.frame(6, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0)),
            new Case(
                "PING of 7 bytes",
                ErrorCode.FRAME_SIZE_ERROR,
                Wire.frame(6, 0, 0, 0, 0, 0, 0, 0, 0, 0)),
            new Case(
                "GOAWAY on a stream",
                ErrorCode.PROTOCOL_ERROR,
                Wire.frame(7, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0)),
            new Case(
                "GOAWAY of 7 bytes",
                ErrorCode.FRAME_SIZE_ERROR,
                Wire.frame(7, 0, 0, 0, 0, 0, 0, 0, 0, 0)),
            new Case("WINDOW_UPDATE of 0", ErrorCode.PROTOCOL_ERROR, Wire.window(0, 0)),
            new Case(
                "WINDOW_UPDATE on an idle stream", ErrorCode.PROTOCOL_ERROR, Wire.window(7, 1)),
            new Case(
                "WINDOW_UPDATE of 5 bytes",
                ErrorCode.FRAME_SIZE_ERROR,
                Wire.frame(8, 0, 0, 0, 0, 0, 0, 1)),
            new Case(
                "a window beyond 2^31-1",
                ErrorCode.FLOW_CONTROL_ERROR,
                Wire.window(0, Integer.MAX_VALUE)),
            new Case("CONTINUATION alone", ErrorCode.PROTOCOL_ERROR, Wire.frame(9, 4, 1)),
            new Case(
                "a frame inside a header block",
                ErrorCode.PROTOCOL_ERROR,
                Unpooled.wrappedBuffer(Wire.frame(1, 0, 3, 0x82), Wire.data(1, 1, false))),
            new Case(
                "CONTINUATION of another stream",
                ErrorCode.PROTOCOL_ERROR,
                Unpooled.wrappedBuffer(Wire.frame(1, 0, 3, 0x82), Wire.frame(9, 4, 5))),
            new Case(
                "a frame beyond MAX_FRAME_SIZE",
                ErrorCode.FRAME_SIZE_ERROR,
                Frame.head(Unpooled.buffer(), (1 << 20) + 1, Frame.DATA, 0, 1)))
        .map(one ->
            DynamicTest.dynamicTest(
                one.name,
                () -> {
                  Wire wire = Wire.server();
                  Recording events = wire.tunnel();
                  wire.send(one.frame);
                  wire.expectGoAway(one.code);
                  assertThat(events.wasReset().origin()).isEqualTo(Reset.Origin.SESSION);
                }));
  }

  @TestFactory
  Stream<DynamicTest> streamErrors() {
    record Case(String name, ErrorCode code, ByteBuf frame) {}
    return Stream.of(
            new Case("WINDOW_UPDATE of 0", ErrorCode.PROTOCOL_ERROR, Wire.window(1, 0)),
            new Case(
                "a window beyond 2^31-1",
                ErrorCode.FLOW_CONTROL_ERROR,
                Wire.window(1, Integer.MAX_VALUE)),
            new Case(
                "PRIORITY of 4 bytes", ErrorCode.FRAME_SIZE_ERROR, Wire.frame(2, 0, 1, 0, 0, 0, 0)),
            new Case(
                "HEADERS inside a tunnel", ErrorCode.PROTOCOL_ERROR, Wire.frame(1, 5, 1, 0x82)))
        .map(one ->
            DynamicTest.dynamicTest(
                one.name,
                () -> {
                  Wire wire = Wire.server();
                  Recording events = wire.tunnel();
                  wire.send(one.frame);
                  assertThat(wire.only(Frame.RST_STREAM).code()).isEqualTo(one.code);
                  assertThat(events.wasReset().code()).isEqualTo(one.code);
                  assertThat(wire.channel.isOpen()).isTrue();
                }));
  }

  @Test
  void dataAfterTheEndIsAnErrorOfTheStream() {
    Wire wire = Wire.server();
    Recording events = wire.tunnel();
    wire.send(Wire.data(1, 1, true));
    wire.send(Wire.data(1, 1, false));
    assertThat(wire.only(Frame.RST_STREAM).code()).isEqualTo(ErrorCode.STREAM_CLOSED);
    assertThat(events.wasReset().code()).isEqualTo(ErrorCode.STREAM_CLOSED);
  }

  @Test
  void whatComesFirstMustBeThePrefaceAndSettings() {
    Wire http = Wire.fresh(false);
    http.send(Unpooled.wrappedBuffer("GET / HTTP/1.1\r\n".getBytes(StandardCharsets.US_ASCII)));
    http.expectGoAway(ErrorCode.PROTOCOL_ERROR);
    Wire ping = Wire.fresh(true);
    ping.send(Wire.ping(1, false));
    ping.expectGoAway(ErrorCode.PROTOCOL_ERROR);
  }

  @Test
  void requestsThatAreNotTunnelsAreAnswered() {
    Wire wire = Wire.server();
    wire.send(
        wire.headers(
            1, new DefaultHttp2Headers(false).method("CONNECT").authority("nowhere"), true));
    assertThat(wire.decode(wire.only(Frame.HEADERS)).status()).hasToString("400");
    wire.send(
        wire.headers(
            3, new DefaultHttp2Headers(false).method("CONNECT").authority("a:1").path("/"), true));
    assertThat(wire.only(Frame.RST_STREAM).code()).isEqualTo(ErrorCode.PROTOCOL_ERROR);
    wire.send(wire.headers(5, Wire.headersOf(Wire.REQUEST).add("Upper", "x"), true));
    assertThat(wire.only(Frame.RST_STREAM).code()).isEqualTo(ErrorCode.PROTOCOL_ERROR);
    assertThat(wire.streams).isEmpty();
    assertThat(wire.told).containsExactly("ready", "refused 400", "refused 0", "refused 0");
    wire.send(wire.connect(7));
    assertThat(wire.streams).hasSize(1);
  }

  @Test
  void streamsBeyondTheLimitAreRefused() {
    Wire wire = Wire.server(SMALL);
    wire.tunnel();
    wire.tunnel();
    wire.send(wire.connect(5));
    assertThat(wire.only(Frame.RST_STREAM).code()).isEqualTo(ErrorCode.REFUSED_STREAM);
    assertThat(wire.session.open()).isEqualTo(2);
  }

  @Test
  void aClientKeepsToThePeersLimit() {
    Wire wire = Wire.client();
    assertThat(wire.session.capacity()).isEqualTo(100);
    wire.send(Wire.setting(Frame.MAX_CONCURRENT_STREAMS, 2));
    wire.tunnel();
    assertThat(wire.session.capacity()).isOne();
    wire.tunnel();
    assertThat(wire.session.capacity()).isZero();
  }

  @Test
  void dataBeforeTheAnswerIsAnError() {
    Wire wire = Wire.client();
    Recording events = new Recording();
    events.stream = wire.session.open(Wire.REQUEST, events);
    wire.send(Wire.data(1, 1, false));
    assertThat(events.wasReset().code()).isEqualTo(ErrorCode.PROTOCOL_ERROR);
    assertThat(events.received.readableBytes()).isZero();
  }

  // ---- abuse

  @Test
  void rapidResetsEndTheSession() {
    Wire wire = Wire.server();
    wire.answers = false;
    for (int i = 0; i < 501; i++) {
      wire.send(wire.connect(2 * i + 1));
      wire.send(Wire.frame(Frame.RST_STREAM, 0, 2 * i + 1, 0, 0, 0, 8));
    }
    abused(wire, Abuse.RAPID_RESET);
  }

  @Test
  void resetsOfAnsweredStreamsAreNoAbuse() {
    Wire wire = Wire.server();
    for (int i = 0; i < 1500; i++) {
      wire.send(wire.connect(2 * i + 1));
      wire.send(Wire.frame(Frame.RST_STREAM, 0, 2 * i + 1, 0, 0, 0, 8));
    }
    assertThat(wire.channel.isOpen()).isTrue();
  }

  @Test
  void errorsThatMakeUsResetEndTheSession() {
    Wire wire = Wire.server();
    for (int i = 0; i < 501; i++) {
      wire.send(wire.connect(2 * i + 1));
      wire.send(Wire.window(2 * i + 1, 0));
    }
    abused(wire, Abuse.MADE_TO_RESET);
  }

  @Test
  void controlFloodsEndTheSessionAndAPeriodForgives() {
    Wire wire = Wire.server();
    for (int i = 0; i < 2000; i++) {
      wire.send(Wire.frame(Frame.PRIORITY, 0, 1, 0, 0, 0, 0, 0));
    }
    advance(wire, 10);
    for (int i = 0; i < 500; i++) {
      wire.send(Wire.frame(0x42, 0, 0, 1, 2, 3));
      wire.send(Wire.setting(0x99, 1));
      wire.send(Wire.ping(i, false));
      wire.send(Wire.frame(Frame.SETTINGS, Frame.ACK, 0));
    }
    assertThat(wire.channel.isOpen()).isTrue();
    wire.send(Wire.frame(0x42, 0, 0));
    abused(wire, Abuse.IDLE_CONTROL);
  }

  @Test
  void emptyDataEndsTheSession() {
    Wire wire = Wire.client();
    wire.tunnel();
    for (int i = 0; i < 201; i++) {
      wire.send(Wire.data(1, 0, false));
    }
    abused(wire, Abuse.EMPTY_DATA);
  }

  @Test
  void endlessHeadersEndTheSession() {
    Wire pieces = Wire.server();
    pieces.send(Wire.frame(Frame.HEADERS, 0, 1, 0x82));
    for (int i = 0; i < 17; i++) {
      pieces.send(Wire.frame(Frame.CONTINUATION, 0, 1));
    }
    abused(pieces, Abuse.HEADERS);
    Wire length = Wire.server();
    length.send(Frame.head(Unpooled.buffer(), 64 * 1024 + 1, Frame.HEADERS, Frame.END_HEADERS, 1));
    abused(length, Abuse.HEADERS);
  }

  @Test
  void answersThatNobodyReadEndTheSession() {
    Wire wire = Wire.server();
    ByteBuf flood = Unpooled.buffer();
    for (int i = 0; i < 1001; i++) {
      Frame.head(flood, 8, Frame.PING, 0, 0).writeLong(i);
    }
    wire.send(flood);
    abused(wire, Abuse.UNREAD_ANSWERS);
  }

  private static void abused(Wire wire, Abuse abuse) {
    wire.expectGoAway(ErrorCode.ENHANCE_YOUR_CALM);
    assertThat(wire.abuses).containsExactly(abuse);
    assertThat(wire.told.getLast()).endsWith(abuse.text());
  }

  // ---- going away

  @Test
  void streamsAboveAGoAwayAreUnprocessedAndTheOthersGoOn() {
    Wire wire = Wire.client();
    Recording served = wire.tunnel();
    Recording lost = wire.tunnel();
    wire.send(Wire.goAway(1, ErrorCode.NO_ERROR, "bye"));
    assertThat(lost.wasReset().unprocessed()).isTrue();
    assertThat(served.reset).isNull();
    assertThat(wire.session.capacity()).isZero();
    assertThat(wire.told).contains("draining GOAWAY NO_ERROR: bye");
    served.stream().end();
    wire.send(Wire.data(1, 4, true));
    assertThat(served.received.readableBytes()).isEqualTo(4);
    wire.expectGoAway(ErrorCode.NO_ERROR);
  }

  @Test
  void aDrainServesWhatIsOnItsWayAndThenCloses() {
    Wire wire = Wire.server();
    Recording open = wire.tunnel();
    wire.session.drain();
    List<Wire.Sent> first = wire.sent();
    assertThat(first).extracting(Wire.Sent::type).containsExactly(Frame.GOAWAY, Frame.PING);
    assertThat(first.getFirst().number()).isEqualTo(Integer.MAX_VALUE);
    Recording late = wire.tunnel();
    wire.send(Wire.ping(Unpooled.wrappedBuffer(first.getLast().payload()).readLong(), true));
    assertThat(wire.only(Frame.GOAWAY).number()).isEqualTo(3);
    wire.send(wire.connect(5));
    wire.send(Wire.data(5, 10, true));
    assertThat(wire.streams).hasSize(2);
    for (Recording events : List.of(open, late)) {
      events.stream().end();
      wire.send(Wire.data(events.stream().id(), 0, true));
    }
    wire.expectGoAway(ErrorCode.NO_ERROR);
  }

  @Test
  void aDrainWhosePingIsIgnoredEndsAllTheSame() {
    Wire wire = Wire.server();
    wire.session.drain();
    wire.sent();
    advance(wire, 10);
    assertThat(wire.sent(Frame.GOAWAY)).isEmpty();
    advance(wire, 10);
    wire.expectGoAway(ErrorCode.NO_ERROR);
  }

  @Test
  void whatFailsInsideIsNotToldToThePeer() {
    Wire wire = Wire.server();
    wire.onOpened =
        ignored -> {
          throw new IllegalStateException("secret");
        };
    wire.send(wire.connect(1));
    Wire.Sent goAway = wire.sent(Frame.GOAWAY).getLast();
    assertThat(goAway.code()).isEqualTo(ErrorCode.INTERNAL_ERROR);
    assertThat(goAway.payload()).hasSize(8);
    assertThat(wire.told.getLast()).contains("secret");
  }

  @Test
  void aConnectionThatBreaksResetsItsStreamsAndLeaksNothing() {
    Wire wire = Wire.client();
    Recording events = wire.tunnel();
    wire.send(Wire.setting(Frame.INITIAL_WINDOW_SIZE, 0));
    wire.sent();
    Recording stuck = wire.tunnel();
    ByteBuf waits = wire.channel.alloc().buffer().writeZero(50);
    stuck.stream().write(waits);
    wire.channel.close();
    wire.turn();
    assertThat(events.wasReset().origin()).isEqualTo(Reset.Origin.SESSION);
    assertThat(stuck.wasReset().unprocessed()).isFalse();
    assertThat(waits.refCnt()).isZero();
    assertThat(wire.told.getLast()).startsWith("closed CONNECT_ERROR");
  }

  private static int bytes(List<Wire.Sent> frames) {
    return frames.stream().mapToInt(frame -> frame.payload().length).sum();
  }
}

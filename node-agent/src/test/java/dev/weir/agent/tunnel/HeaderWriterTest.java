package dev.weir.agent.tunnel;

import static org.assertj.core.api.Assertions.assertThat;

import dev.weir.api.model.WorkloadKind;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.handler.codec.http2.DefaultHttp2HeadersDecoder;
import io.netty.handler.codec.http2.Http2Exception;
import io.netty.handler.codec.http2.Http2Headers;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.List;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;

/** What is written is read by Netty's HPACK, whose table must go the same way as ours. */
final class HeaderWriterTest {
  private static final InetAddress SERVER = InetAddress.ofLiteral("10.0.1.5");

  private static HboneRequest request(int port, int workload) {
    return new HboneRequest(
        Authority.of(SERVER, port),
        new Baggage("C", "shop", WorkloadKind.POD, "till-" + workload, "till", "v2", "", ""),
        new Forwarded(new InetSocketAddress(SERVER, 1 + port % 60_000), null),
        TraceParent.fresh(),
        port % 3 == 0 ? "net-" + workload : null);
  }

  private static Http2Headers read(DefaultHttp2HeadersDecoder decoder, ByteBuf block) {
    try {
      return decoder.decodeHeaders(1, block);
    } catch (Http2Exception e) {
      throw new AssertionError(e);
    }
  }

  @Property
  void everyRequestIsReadAsItWasMeantWhateverWasWrittenBefore(
      @ForAll @Size(max = 200) List<@IntRange(min = 1, max = 65_535) Integer> ports)
      throws Exception {
    HeaderWriter writer = new HeaderWriter();
    DefaultHttp2HeadersDecoder decoder = new DefaultHttp2HeadersDecoder(true);
    for (int port : ports) {
      HboneRequest request = request(port, port % 7);
      ByteBuf block = Unpooled.buffer();
      writer.request(block, request);
      assertThat(HboneRequest.parse(read(decoder, block), Baggage::parse)).isEqualTo(request);
    }
  }

  @Property
  void aTableThatThePeerMakesSmallerOrLargerIsFollowed(
      @ForAll @Size(max = 100) List<@IntRange(min = 0, max = 8_192) Integer> sizes)
      throws Exception {
    HeaderWriter writer = new HeaderWriter();
    DefaultHttp2HeadersDecoder decoder = new DefaultHttp2HeadersDecoder(true);
    int port = 1;
    for (int size : sizes) {
      // Our table is never larger than 4,096 bytes, whatever the peer would keep.
      decoder.maxHeaderTableSize(size);
      writer.peerKeeps(size);
      if (size % 2 == 0) {
        // Several changes may come before the next block.
        HboneRequest request = request(port++ % 500 + 1, size % 5);
        ByteBuf block = Unpooled.buffer();
        writer.request(block, request);
        assertThat(HboneRequest.parse(read(decoder, block), Baggage::parse)).isEqualTo(request);
      }
    }
  }

  @Test
  void whatRepeatsCostsLittle() {
    HeaderWriter writer = new HeaderWriter();
    ByteBuf first = Unpooled.buffer();
    writer.request(first, request(80, 1));
    ByteBuf second = Unpooled.buffer();
    writer.request(second, request(80, 1));
    // Three fields of one octet each; a client's address and a trace, with their names' places.
    assertThat(second.readableBytes()).isLessThan(3 + 2 + 24 + 2 + 56);
    ByteBuf answer = Unpooled.buffer();
    writer.response(answer, 200, request(80, 1).baggage());
    assertThat(answer.readableBytes()).isEqualTo(2);
  }

  @Test
  void everyStatusIsReadAsItWasMeant() {
    HeaderWriter writer = new HeaderWriter();
    DefaultHttp2HeadersDecoder decoder = new DefaultHttp2HeadersDecoder(true);
    for (int status : new int[] {200, 400, 401, 503, 200, 401, 503}) {
      ByteBuf block = Unpooled.buffer();
      writer.response(block, status, Baggage.NONE);
      assertThat(read(decoder, block).status()).hasToString(Integer.toString(status));
    }
  }
}

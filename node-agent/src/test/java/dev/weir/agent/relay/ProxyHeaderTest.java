package dev.weir.agent.relay;

import static org.assertj.core.api.Assertions.assertThat;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;
import io.netty.buffer.ByteBufUtil;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import org.junit.jupiter.api.Test;

final class ProxyHeaderTest {
  @Test
  void aProxyHeaderIsExact() {
    InetSocketAddress v4 = new InetSocketAddress(InetAddress.ofLiteral("10.0.0.1"), 258);
    InetSocketAddress v6 = new InetSocketAddress(InetAddress.ofLiteral("fd00::2"), 80);
    assertThat(hex(ProxyHeader.of(ByteBufAllocator.DEFAULT, v4, v4, "ab")))
        .isEqualTo(
            "0d0a0d0a000d0a515549540a"
                + "2111"
                + "0011"
                + "0a000001"
                + "0a000001"
                + "0102"
                + "0102"
                + "d000026162");
    assertThat(hex(ProxyHeader.of(ByteBufAllocator.DEFAULT, v4, v6, null)))
        .isEqualTo(
            "0d0a0d0a000d0a515549540a"
                + "2121"
                + "0024"
                + "00000000000000000000ffff0a000001"
                + "fd000000000000000000000000000002"
                + "0102"
                + "0050");
  }

  private static String hex(ByteBuf header) {
    try {
      return ByteBufUtil.hexDump(header);
    } finally {
      header.release();
    }
  }
}

package dev.weir.agent.relay;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import org.jspecify.annotations.Nullable;

/**
 * PROXY protocol version 2, which tells an application behind {@code application_tunnel} who is
 * calling: addresses, and the caller's SPIFFE id in TLV 0xD0, as ztunnel writes it.
 */
final class ProxyHeader {
  private static final byte[] SIGNATURE = {13, 10, 13, 10, 0, 13, 10, 'Q', 'U', 'I', 'T', 10};
  private static final int VERSION_2_PROXY = 0x21;
  private static final int TCP_V4 = 0x11;
  private static final int TCP_V6 = 0x21;
  private static final int SPIFFE_ID = 0xd0;

  private ProxyHeader() {}

  /**
   * The header; the caller owns it. Where one address is IPv4 and the other is not, both are
   * written as IPv6, since the header has room for one family.
   *
   * @param spiffeId the caller's identity, or null where it has none
   */
  static ByteBuf of(
      ByteBufAllocator allocator,
      InetSocketAddress source,
      InetSocketAddress destination,
      @Nullable String spiffeId) {
    byte[] identity = spiffeId == null ? new byte[0] : spiffeId.getBytes(StandardCharsets.UTF_8);
    boolean v4 =
        source.getAddress() instanceof Inet4Address
            && destination.getAddress() instanceof Inet4Address;
    int length = (v4 ? 12 : 36) + (spiffeId == null ? 0 : 3 + identity.length);
    if (length > 0xffff) {
      throw new IllegalArgumentException(
          "SPIFFE id: " + identity.length + " bytes (expected: what fits a PROXY header)");
    }
    ByteBuf header = allocator.ioBuffer(SIGNATURE.length + 4 + length);
    header.writeBytes(SIGNATURE).writeByte(VERSION_2_PROXY).writeByte(v4 ? TCP_V4 : TCP_V6);
    header.writeShort(length);
    address(header, source.getAddress(), v4);
    address(header, destination.getAddress(), v4);
    header.writeShort(source.getPort()).writeShort(destination.getPort());
    if (spiffeId != null) {
      header.writeByte(SPIFFE_ID).writeShort(identity.length).writeBytes(identity);
    }
    return header;
  }

  private static void address(ByteBuf header, InetAddress address, boolean v4) {
    if (!v4 && address instanceof Inet4Address) {
      header.writeZero(10).writeShort(0xffff);
    }
    header.writeBytes(address.getAddress());
  }
}

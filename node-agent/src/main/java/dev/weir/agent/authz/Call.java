package dev.weir.agent.authz;

import dev.weir.api.model.Workload;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * One connection, as policies see it. What rules compare is taken apart once, here: a connection is
 * judged again at each change of the mesh.
 */
public final class Call {
  private static final String SPIFFE = "spiffe://";

  private final @Nullable String principal;
  private final @Nullable String namespace;
  private final @Nullable String account;
  private final InetAddress source;
  private final InetAddress destination;
  private final Bits sourceBits;
  private final Bits destinationBits;
  private final int port;
  private final @Nullable Workload workload;

  /** An address as two words; of an IPv4 one the first is 0. */
  record Bits(boolean v4, long high, long low) {
    static Bits of(InetAddress address) {
      byte[] bytes = address.getAddress();
      return address instanceof Inet4Address
          ? new Bits(true, 0, ByteBuffer.wrap(bytes).getInt() & 0xffff_ffffL)
          : new Bits(
              false, ByteBuffer.wrap(bytes).getLong(), ByteBuffer.wrap(bytes).getLong(Long.BYTES));
    }
  }

  private Call(
      @Nullable String principal,
      InetAddress source,
      InetAddress destination,
      Bits sourceBits,
      Bits destinationBits,
      int port,
      @Nullable Workload workload) {
    String plain =
        principal != null && principal.startsWith(SPIFFE)
            ? principal.substring(SPIFFE.length())
            : principal;
    this.principal = plain == null || plain.isEmpty() ? null : plain;
    // trust-domain/ns/NAMESPACE/sa/NAME: exactly these five, or it names no account.
    String[] parts = this.principal == null ? new String[0] : this.principal.split("/", -1);
    boolean named = parts.length == 5 && parts[1].equals("ns") && parts[3].equals("sa");
    this.namespace = named ? parts[2] : null;
    this.account = named ? parts[2] + "/" + parts[4] : null;
    this.source = source;
    this.destination = destination;
    this.sourceBits = sourceBits;
    this.destinationBits = destinationBits;
    this.port = port;
    this.workload = workload;
  }

  /**
   * @param principal the caller's SPIFFE id as its certificate or the kernel proved it; null where
   *     nothing did
   * @param port the workload's own, not a Service's and not a tunnel's
   * @param workload who is called; null where the control plane has not told of it
   */
  public static Call of(
      @Nullable String principal,
      InetAddress source,
      InetAddress destination,
      int port,
      @Nullable Workload workload) {
    return new Call(
        principal, source, destination, Bits.of(source), Bits.of(destination), port, workload);
  }

  /** The same connection to what the workload has become. */
  public Call to(@Nullable Workload now) {
    return Objects.equals(now, workload)
        ? this
        : new Call(principal, source, destination, sourceBits, destinationBits, port, now);
  }

  /** Without {@code spiffe://}; null where the caller has proved nothing. */
  public @Nullable String principal() {
    return principal;
  }

  public InetAddress source() {
    return source;
  }

  public InetAddress destination() {
    return destination;
  }

  public int port() {
    return port;
  }

  public @Nullable Workload workload() {
    return workload;
  }

  /** Of the principal. */
  @Nullable String namespace() {
    return namespace;
  }

  /** {@code namespace/name} of the principal. */
  @Nullable String account() {
    return account;
  }

  Bits sourceBits() {
    return sourceBits;
  }

  Bits destinationBits() {
    return destinationBits;
  }

  @Override
  public String toString() {
    return (principal == null ? "nobody" : principal)
        + " at "
        + source.getHostAddress()
        + " to "
        + destination.getHostAddress()
        + ":"
        + port;
  }
}

package dev.weir.bpf;

import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * Keys and values as the bytes of the structs in {@code bpf/src/weir.h}, which is the word on each
 * layout: a test writes and reads every field through the object's own BTF.
 */
public final class Layouts {
  public static final int ADDRESS_BYTES = 16;
  public static final int TUPLE_BYTES = 40;
  public static final int FLOW_BYTES = 72;

  private static final InetAddress LOOPBACK_4 = InetAddress.ofLiteral("127.0.0.1");
  private static final InetAddress LOOPBACK_6 = InetAddress.ofLiteral("::1");

  private Layouts() {}

  public static ByteBuffer allocate(int bytes) {
    return ByteBuffer.allocate(bytes).order(ByteOrder.nativeOrder());
  }

  public static ByteBuffer read(byte[] bytes) {
    return ByteBuffer.wrap(bytes).order(ByteOrder.nativeOrder());
  }

  /** An IPv4 address as ::ffff:a.b.c.d, so one map serves both families. */
  public static byte[] mapped(InetAddress address) {
    byte[] bytes = address.getAddress();
    if (bytes.length == ADDRESS_BYTES) {
      return bytes;
    }
    byte[] mapped = new byte[ADDRESS_BYTES];
    mapped[10] = (byte) 0xff;
    mapped[11] = (byte) 0xff;
    System.arraycopy(bytes, 0, mapped, 12, 4);
    return mapped;
  }

  public static InetAddress address(byte[] mapped) {
    try {
      // getByAddress gives an Inet4Address for a v4-mapped one.
      return InetAddress.getByAddress(mapped);
    } catch (UnknownHostException e) {
      throw new IllegalArgumentException("address of %d bytes".formatted(mapped.length), e);
    }
  }

  public static InetAddress address(ByteBuffer from) {
    byte[] bytes = new byte[ADDRESS_BYTES];
    from.get(bytes);
    return address(bytes);
  }

  public static int portOf(ByteBuffer from) {
    return from.getShort() & 0xffff;
  }

  public static byte[] cookie(long cookie) {
    return allocate(8).putLong(cookie).array();
  }

  /** Where a pod has no address of a family. */
  public static byte[] noAddress() {
    return new byte[ADDRESS_BYTES];
  }

  // struct weir_pod. Compared by nobody, so arrays do.
  @SuppressWarnings("ArrayRecordComponent")
  public record PodEntry(int pod, int identity, int flags, byte[] ip4, byte[] ip6) {
    public static final int JOINED = 1;
    public static final int OFF = 1 << 1;
    public static final int LOSS_OPEN = 1 << 2;
    public static final int DNS = 1 << 3;
    public static final int PORT_RULES = 1 << 4;
    public static final int CIDR_RULES = 1 << 5;
    public static final int SELF_TEST = 1 << 6;

    public byte[] bytes() {
      return allocate(48)
          .putInt(pod)
          .putInt(identity)
          .putInt(flags)
          .putInt(0)
          .put(ip4)
          .put(ip6)
          .array();
    }

    public static PodEntry of(byte[] value) {
      ByteBuffer from = read(value);
      int pod = from.getInt();
      int identity = from.getInt();
      int flags = from.getInt();
      return new PodEntry(
          pod,
          identity,
          flags,
          Arrays.copyOfRange(value, 16, 32),
          Arrays.copyOfRange(value, 32, 48));
    }
  }

  // struct weir_address
  public record AddressEntry(long cookie, int pod, int flags) {
    public static final int POD = 1;
    public static final int NODE = 1 << 1;

    public byte[] bytes() {
      return allocate(16).putLong(cookie).putInt(pod).putInt(flags).array();
    }

    public static AddressEntry of(byte[] value) {
      ByteBuffer from = read(value);
      return new AddressEntry(from.getLong(), from.getInt(), from.getInt());
    }
  }

  // struct weir_service_key, IPPROTO_TCP
  public static byte[] serviceKey(InetAddress address, int port) {
    return allocate(20).put(mapped(address)).putShort((short) port).putShort((short) 6).array();
  }

  // struct weir_service
  public record ServiceEntry(int id, int generation, int count, int flags) {
    public static final int AGENT = 1;

    public byte[] bytes() {
      return allocate(16).putInt(id).putInt(generation).putInt(count).putInt(flags).array();
    }

    public static ServiceEntry of(byte[] value) {
      ByteBuffer from = read(value);
      return new ServiceEntry(from.getInt(), from.getInt(), from.getInt(), from.getInt());
    }
  }

  // struct weir_endpoint_key
  public static byte[] endpointKey(int service, int generation, int slot) {
    return allocate(12).putInt(service).putInt(generation).putInt(slot).array();
  }

  // struct weir_endpoint
  public static byte[] endpoint(InetAddress address, int port, int threshold, int alias) {
    return allocate(24)
        .put(mapped(address))
        .putShort((short) port)
        .putShort((short) threshold)
        .putInt(alias)
        .array();
  }

  // struct weir_verdict_key
  public record VerdictKey(int identity, int pod, int port) {
    public byte[] bytes() {
      return allocate(12)
          .putInt(identity)
          .putInt(pod)
          .putShort((short) port)
          .putShort((short) 0)
          .array();
    }

    public static VerdictKey of(byte[] key) {
      ByteBuffer from = read(key);
      return new VerdictKey(from.getInt(), from.getInt(), portOf(from));
    }
  }

  // struct weir_verdict
  public static final int VERDICT_JOINED = 1;

  public static byte[] verdict(int flags, int generation) {
    return allocate(8).putInt(flags).putInt(generation).array();
  }

  // struct weir_original_key; AF_INET 2, AF_INET6 10
  public static byte[] originalKey(long cookie, InetSocketAddress client) {
    byte[] address = client.getAddress().getAddress();
    ByteBuffer key =
        allocate(16)
            .putLong(cookie)
            .putShort((short) client.getPort())
            .putShort((short) (address.length == 16 ? 10 : 2));
    if (!client.getAddress().equals(address.length == 16 ? LOOPBACK_6 : LOOPBACK_4)) {
      key.put(address, address.length - 4, 4);
    }
    return key.array();
  }

  // struct weir_original
  public record OriginalEntry(
      InetSocketAddress asked, InetSocketAddress picked, int service, int pod) {
    public static OriginalEntry of(byte[] value) {
      ByteBuffer from = read(value);
      InetAddress asked = address(from);
      InetAddress picked = address(from);
      int askedPort = portOf(from);
      int pickedPort = portOf(from);
      return new OriginalEntry(
          new InetSocketAddress(asked, askedPort),
          new InetSocketAddress(picked, pickedPort),
          from.getInt(),
          from.getInt());
    }
  }

  // struct weir_port_key; the value is one byte, as weir_ports has it
  public static byte[] portKey(long cookie, int port, int kind) {
    return allocate(16)
        .putLong(cookie)
        .putShort((short) port)
        .putShort((short) kind)
        .putInt(0)
        .array();
  }

  public static final int PORT_EXCLUDE_INBOUND = 1;
  public static final int PORT_EXCLUDE_OUTBOUND = 2;
  public static final int PORT_PROBE = 3;

  // struct weir_cidr_key: prefixlen native, then cookie and address in network order as a trie
  // compares bytes
  public static byte[] cidrKey(long cookie, InetAddress address, int prefixLength) {
    int inMapped = address instanceof Inet4Address ? prefixLength + 96 : prefixLength;
    byte[] key = new byte[28];
    read(key)
        .putInt(64 + inMapped)
        .order(ByteOrder.BIG_ENDIAN)
        .putLong(cookie)
        .put(mapped(address));
    return key;
  }

  public static long cidrCookie(byte[] key) {
    return ByteBuffer.wrap(key).order(ByteOrder.BIG_ENDIAN).getLong(4);
  }

  // struct weir_control, at offsets, since it is written in place through a mapping
  public static final int CONTROL_BEAT_NANOS = 0;
  public static final int CONTROL_FLAGS = 8;
  public static final int CONTROL_AGENT = 12;
  public static final int CONTROL_NEXT_BEAT_NANOS = 16;
  public static final int CONTROL_NEXT = 24;
  public static final int CONTROL_NEXT_ASKS = 28;
  public static final int CONTROL_FLAG_JOINING = 1;

  // struct weir_drop_key
  public record DropKey(int pod, int reason) {
    public static DropKey of(byte[] key) {
      ByteBuffer from = read(key);
      return new DropKey(from.getInt(), from.getInt());
    }
  }

  // struct weir_tuple
  public record Tuple(
      InetAddress client, int clientPort, InetAddress server, int serverPort, int scope) {
    public static Tuple of(ByteBuffer from) {
      InetAddress client = address(from);
      InetAddress server = address(from);
      return new Tuple(client, portOf(from), server, portOf(from), from.getInt());
    }

    public static Tuple of(byte[] key) {
      return of(read(key));
    }

    public byte[] bytes() {
      return allocate(TUPLE_BYTES)
          .put(mapped(client))
          .put(mapped(server))
          .putShort((short) clientPort)
          .putShort((short) serverPort)
          .putInt(scope)
          .array();
    }
  }

  // struct weir_flow
  public static final int PATH_AGENT = 0;
  public static final int PATH_DIRECT = 1;
  public static final int PATH_JOINED = 2;
  public static final int PATH_EXCLUDED = 3;
  public static final int PATH_OPEN = 4;

  public record Flow(
      long cookie,
      long openedNanos,
      long establishedNanos,
      long joinedSent,
      long joinedReceived,
      InetAddress asked,
      int askedPort,
      int path,
      int service,
      int sourcePod,
      int destinationPod) {
    public static Flow of(ByteBuffer from) {
      long cookie = from.getLong();
      long opened = from.getLong();
      long established = from.getLong();
      long sent = from.getLong();
      long received = from.getLong();
      InetAddress asked = address(from);
      int askedPort = portOf(from);
      int path = from.get() & 0xff;
      from.get();
      return new Flow(
          cookie,
          opened,
          established,
          sent,
          received,
          asked,
          askedPort,
          path,
          from.getInt(),
          from.getInt(),
          from.getInt());
    }

    public static Flow of(byte[] value) {
      return of(read(value));
    }
  }

  // struct weir_event
  public record Event(
      int kind,
      int reason,
      Tuple tuple,
      Flow flow,
      long sent,
      long received,
      int rttMicros,
      int retransmits,
      long closedNanos) {
    public static final int CLOSED = 2;
    public static final int FAILED = 3;
    public static final int DROP = 4;

    public static Event of(ByteBuffer record) {
      ByteBuffer from = record.duplicate().order(ByteOrder.nativeOrder());
      return new Event(
          from.getInt(),
          from.getInt(),
          Tuple.of(from),
          Flow.of(from),
          from.getLong(),
          from.getLong(),
          from.getInt(),
          from.getInt(),
          from.getLong());
    }
  }
}

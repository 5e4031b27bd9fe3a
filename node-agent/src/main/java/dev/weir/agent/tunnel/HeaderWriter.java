package dev.weir.agent.tunnel;

import io.netty.buffer.ByteBuf;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;

/**
 * Writes the header blocks of HBONE (RFC 7541), which are few and much alike: what repeats is put
 * into the table that both sides keep, and costs an octet from then on; of a client's address and a
 * trace, which never repeat, the name alone is. Nothing is Huffman-coded: it would save some twenty
 * octets of a connection, and cost more than all the rest. Owned by a session.
 */
final class HeaderWriter {
  private static final int TABLE = 4_096;

  /** Of an entry, beside its octets (RFC 7541 4.1). */
  private static final int ENTRY = 32;

  /** Entries of the static table (RFC 7541 appendix A); the dynamic one begins behind it. */
  private static final int STATIC = 61;

  private static final int AUTHORITY = 1;
  private static final int METHOD = 2;
  private static final int STATUS = 8;

  // The first octets of representations (RFC 7541 6), and the bits of it that a number has.
  private static final int INDEXED = 0x80;
  private static final int INDEXED_BITS = 7;
  private static final int WITH_INDEXING = 0x40;
  private static final int WITH_INDEXING_BITS = 6;
  private static final int TABLE_SIZE = 0x20;
  private static final int TABLE_SIZE_BITS = 5;
  private static final int WITHOUT_INDEXING_BITS = 4;
  private static final int LENGTH_BITS = 7;

  private record Entry(String name, String value) {
    int size() {
      return name.length() + value.length() + ENTRY;
    }
  }

  /** Newest first. */
  private final ArrayDeque<Entry> table = new ArrayDeque<>(8);

  private int size;
  private int most = TABLE;

  /** The least that the table was to have since the last block; that it changed is told first. */
  private int leastSince = TABLE;

  private boolean changed;
  private Baggage known = Baggage.NONE;
  private String knownText = "";

  /** What the peer keeps at most (SETTINGS_HEADER_TABLE_SIZE). */
  void peerKeeps(long bytes) {
    most = (int) Math.min(bytes, TABLE);
    leastSince = Math.min(leastSince, most);
    changed = true;
    shrink(most);
  }

  void request(ByteBuf to, HboneRequest request) {
    begin(to);
    repeated(to, METHOD, ":method", "CONNECT");
    repeated(to, AUTHORITY, ":authority", request.authority().toString());
    baggage(to, request.baggage());
    Forwarded forwarded = request.forwarded();
    if (forwarded != null) {
      once(to, HboneRequest.FORWARDED, forwarded.toString());
    }
    TraceParent trace = request.trace();
    if (trace != null) {
      once(to, HboneRequest.TRACEPARENT, trace.toString());
    }
    String network = request.network();
    if (network != null) {
      repeated(to, 0, HboneRequest.NETWORK, network);
    }
  }

  void response(ByteBuf to, int status, Baggage own) {
    begin(to);
    int index = known(status);
    if (index != 0) {
      number(to, INDEXED, INDEXED_BITS, index);
    } else {
      repeated(to, STATUS, ":status", Integer.toString(status));
    }
    baggage(to, own);
  }

  /** Where the static table has it; 0 where it has not. */
  private static int known(int status) {
    return switch (status) {
      case 200 -> STATUS;
      case 400 -> 12;
      default -> 0;
    };
  }

  private void baggage(ByteBuf to, Baggage of) {
    if (!of.equals(known)) {
      known = of;
      knownText = of.toString();
    }
    if (!knownText.isEmpty()) {
      repeated(to, 0, HboneRequest.BAGGAGE, knownText);
    }
  }

  private void begin(ByteBuf to) {
    if (changed) {
      changed = false;
      if (leastSince < most) {
        number(to, TABLE_SIZE, TABLE_SIZE_BITS, leastSince);
      }
      number(to, TABLE_SIZE, TABLE_SIZE_BITS, most);
      leastSince = most;
    }
  }

  /**
   * A field that the next blocks will have, too.
   *
   * @param index of the name in the static table, or 0
   */
  private void repeated(ByteBuf to, int index, String name, String value) {
    int at = STATIC;
    for (Entry each : table) {
      at++;
      if (each.value.equals(value) && each.name.equals(name)) {
        number(to, INDEXED, INDEXED_BITS, at);
        return;
      }
    }
    literal(to, index != 0 ? index : indexOf(name), name, value);
  }

  /** A field whose value will not come again. */
  private void once(ByteBuf to, String name, String value) {
    int index = indexOf(name);
    if (index == 0) {
      // The name will: with this value it is in the table from now on.
      literal(to, 0, name, value);
      return;
    }
    number(to, 0, WITHOUT_INDEXING_BITS, index);
    text(to, value);
  }

  private int indexOf(String name) {
    int at = STATIC;
    for (Entry each : table) {
      at++;
      if (each.name.equals(name)) {
        return at;
      }
    }
    return 0;
  }

  private void literal(ByteBuf to, int index, String name, String value) {
    number(to, WITH_INDEXING, WITH_INDEXING_BITS, index);
    if (index == 0) {
      text(to, name);
    }
    text(to, value);
    Entry entry = new Entry(name, value);
    // One that is larger than the table empties it (RFC 7541 4.4).
    shrink(most - entry.size());
    if (entry.size() <= most) {
      table.addFirst(entry);
      size += entry.size();
    }
  }

  private void shrink(int room) {
    Entry last;
    while (size > room && (last = table.pollLast()) != null) {
      size -= last.size();
    }
  }

  /** RFC 7541 5.1. */
  private static void number(ByteBuf to, int first, int bits, int value) {
    int mask = (1 << bits) - 1;
    if (value < mask) {
      to.writeByte(first | value);
      return;
    }
    to.writeByte(first | mask);
    int left = value - mask;
    while (left >= 0x80) {
      to.writeByte((left & 0x7f) | 0x80);
      left >>>= 7;
    }
    to.writeByte(left);
  }

  private static void text(ByteBuf to, String text) {
    number(to, 0, LENGTH_BITS, text.length());
    to.writeCharSequence(text, StandardCharsets.US_ASCII);
  }
}

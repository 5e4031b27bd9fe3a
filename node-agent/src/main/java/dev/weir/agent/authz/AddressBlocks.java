package dev.weir.agent.authz;

import dev.weir.api.model.Cidr;
import java.net.Inet4Address;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * Address blocks of one family as disjoint ranges in order, so that a look-up is a binary search.
 * Blocks never overlap in part: one holds the other or they are apart, so those that another holds
 * are dropped and the rest need no merging.
 */
final class AddressBlocks {
  private final long[] firstHigh;
  private final long[] firstLow;
  private final long[] lastHigh;
  private final long[] lastLow;

  private record Range(Call.Bits first, Call.Bits last) {}

  private AddressBlocks(List<Range> ranges) {
    int count = ranges.size();
    firstHigh = new long[count];
    firstLow = new long[count];
    lastHigh = new long[count];
    lastLow = new long[count];
    for (int i = 0; i < count; i++) {
      firstHigh[i] = ranges.get(i).first().high();
      firstLow[i] = ranges.get(i).first().low();
      lastHigh[i] = ranges.get(i).last().high();
      lastLow[i] = ranges.get(i).last().low();
    }
  }

  static AddressBlocks of(List<Cidr> blocks, boolean v4) {
    List<Range> ranges = new ArrayList<>();
    for (Cidr block : blocks) {
      if (block.address() instanceof Inet4Address == v4) {
        ranges.add(range(block, v4));
      }
    }
    // The wider of two that begin alike first, so that it is the one that stays.
    ranges.sort(
        Comparator.comparing(Range::first, AddressBlocks::compare)
            .thenComparing(Range::last, (a, b) -> compare(b, a)));
    List<Range> apart = new ArrayList<>();
    for (Range range : ranges) {
      if (apart.isEmpty() || compare(range.first(), apart.getLast().last()) > 0) {
        apart.add(range);
      }
    }
    return new AddressBlocks(apart);
  }

  private static Range range(Cidr block, boolean v4) {
    Call.Bits first = Call.Bits.of(block.address());
    int free = (v4 ? 32 : 128) - block.prefixBits();
    long low = free >= 64 ? -1L : (1L << free) - 1;
    long high = free <= 64 ? 0 : free == 128 ? -1L : (1L << (free - 64)) - 1;
    return new Range(first, new Call.Bits(v4, first.high() | high, first.low() | low));
  }

  boolean contains(Call.Bits address) {
    int from = 0;
    int to = firstHigh.length - 1;
    while (from <= to) {
      int middle = (from + to) >>> 1;
      if (compare(firstHigh[middle], firstLow[middle], address.high(), address.low()) > 0) {
        to = middle - 1;
      } else if (compare(lastHigh[middle], lastLow[middle], address.high(), address.low()) < 0) {
        from = middle + 1;
      } else {
        return true;
      }
    }
    return false;
  }

  private static int compare(Call.Bits a, Call.Bits b) {
    return compare(a.high(), a.low(), b.high(), b.low());
  }

  private static int compare(long aHigh, long aLow, long bHigh, long bLow) {
    int high = Long.compareUnsigned(aHigh, bHigh);
    return high != 0 ? high : Long.compareUnsigned(aLow, bLow);
  }
}

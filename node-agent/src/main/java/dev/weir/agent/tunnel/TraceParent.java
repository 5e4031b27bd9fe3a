package dev.weir.agent.tunnel;

import java.util.HexFormat;
import java.util.concurrent.ThreadLocalRandom;
import org.jspecify.annotations.Nullable;

/** W3C Trace Context, version 00: {@code 00-<32 hex>-<16 hex>-<2 hex>}. */
record TraceParent(long traceHigh, long traceLow, long parent, int flags) {
  private static final int LENGTH = 55;
  private static final HexFormat HEX = HexFormat.of();

  /** A new trace that nobody was asked to sample. */
  static TraceParent fresh() {
    ThreadLocalRandom random = ThreadLocalRandom.current();
    return new TraceParent(random.nextLong(), random.nextLong() | 1, random.nextLong() | 1, 0);
  }

  /** The trace, or null where the text is not exactly one: a bad trace is no reason to refuse. */
  static @Nullable TraceParent parse(CharSequence text) {
    if (text.length() != LENGTH
        || text.charAt(0) != '0'
        || text.charAt(1) != '0'
        || text.charAt(2) != '-'
        || text.charAt(35) != '-'
        || text.charAt(52) != '-') {
      return null;
    }
    for (int i = 3; i < LENGTH; i++) {
      char c = text.charAt(i);
      if (i != 35 && i != 52 && (c < '0' || c > '9') && (c < 'a' || c > 'f')) {
        return null;
      }
    }
    TraceParent trace =
        new TraceParent(
            HexFormat.fromHexDigitsToLong(text, 3, 19),
            HexFormat.fromHexDigitsToLong(text, 19, 35),
            HexFormat.fromHexDigitsToLong(text, 36, 52),
            HexFormat.fromHexDigits(text, 53, 55));
    return (trace.traceHigh | trace.traceLow) == 0 || trace.parent == 0 ? null : trace;
  }

  @Override
  public String toString() {
    return "00-"
        + HEX.toHexDigits(traceHigh)
        + HEX.toHexDigits(traceLow)
        + '-'
        + HEX.toHexDigits(parent)
        + '-'
        + HEX.toHexDigits((byte) flags);
  }
}

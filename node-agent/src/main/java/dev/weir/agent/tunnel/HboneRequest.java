package dev.weir.agent.tunnel;

import io.netty.handler.codec.http2.Http2Headers;
import io.netty.util.AsciiString;
import java.util.List;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * A CONNECT as HBONE writes it. Only the authority decides anything; the rest is for telemetry, and
 * what of it cannot be read is as if it were not there.
 *
 * @param forwarded for whom, if said
 * @param trace the trace, if said
 * @param network the network that the request came from, on the inner tunnel of a gateway
 */
record HboneRequest(
    Authority authority,
    Baggage baggage,
    @Nullable Forwarded forwarded,
    @Nullable TraceParent trace,
    @Nullable String network) {
  static final String BAGGAGE = "baggage";
  static final String FORWARDED = "forwarded";
  static final String TRACEPARENT = "traceparent";
  static final String NETWORK = "x-forwarded-network";
  private static final AsciiString CONNECT = AsciiString.cached("CONNECT");
  private static final AsciiString METHOD = AsciiString.cached(":method");
  private static final AsciiString AUTHORITY = AsciiString.cached(":authority");
  private static final AsciiString PROTOCOL = AsciiString.cached(":protocol");
  private static final int LONGEST_NETWORK = 253;

  /** Why a request cannot be served. */
  static final class Refused extends Exception {
    private final int status;

    Refused(int status, String cause) {
      super(cause, null, false, false);
      this.status = status;
    }

    /** The status to answer with; 0 where RFC 9113 section 8.5 asks for a stream error. */
    int status() {
      return status;
    }
  }

  /**
   * @param baggages reads what the caller says of itself
   */
  static HboneRequest parse(
      Http2Headers headers, Function<List<? extends CharSequence>, Baggage> baggages)
      throws Refused {
    CharSequence method = only(headers, METHOD);
    if (!CONNECT.contentEquals(method)) {
      throw new Refused(400, "the method is not CONNECT");
    }
    if (headers.scheme() != null || headers.path() != null || headers.contains(PROTOCOL)) {
      throw new Refused(0, "CONNECT with :scheme, :path or :protocol");
    }
    Authority authority = Authority.parse(only(headers, AUTHORITY));
    if (authority == null) {
      throw new Refused(400, ":authority is not exactly ip:port, [ip]:port or name:port");
    }
    CharSequence forwarded = headers.get(FORWARDED);
    CharSequence trace = headers.get(TRACEPARENT);
    CharSequence network = headers.get(NETWORK);
    return new HboneRequest(
        authority,
        baggages.apply(headers.getAll(BAGGAGE)),
        forwarded == null ? null : Forwarded.parse(forwarded),
        trace == null ? null : TraceParent.parse(trace),
        network == null || network.isEmpty() || network.length() > LONGEST_NETWORK
            ? null
            : network.toString());
  }

  private static CharSequence only(Http2Headers headers, AsciiString name) throws Refused {
    List<CharSequence> values = headers.getAll(name);
    if (values.size() != 1) {
      throw new Refused(400, name + (values.isEmpty() ? " is missing" : " is there twice"));
    }
    return values.getFirst();
  }
}

package dev.weir.agent.tunnel;

/**
 * What we grant a peer: our SETTINGS and the connection's window.
 *
 * @param streamWindow bytes of one stream that may be here and not yet consumed, so the bound of a
 *     stream's memory, whatever else the pod has
 * @param usefulStreamWindow what that becomes when more than a little comes and the pod has room
 * @param mostStreamWindow what that may grow to, where it is consumed fast
 * @param connectionWindow bytes that may be on their way; credited when they come, consumed or not,
 *     so that a stream nobody reads never holds up its neighbours
 * @param streams streams that the peer may have open
 * @param frame the longest frame that we take
 * @param headerList the longest header list, as RFC 9113 section 6.5.2 counts it
 */
record TunnelLimits(
    int streamWindow,
    int usefulStreamWindow,
    int mostStreamWindow,
    int connectionWindow,
    int streams,
    int frame,
    int headerList) {
  // What is granted is what a reader that stops can make us hold: a thousand such readers of one
  // pod hold some quarter of what it may have. Whoever answers in a few packets needs no more.
  private static final int STREAM_WINDOW = 8 << 10;
  private static final int USEFUL_STREAM_WINDOW = 128 << 10;
  // A reader that reads fast moves 8 Gbit/s over a millisecond between zones.
  private static final int MOST_STREAM_WINDOW = 1 << 20;
  private static final int CONNECTION_WINDOW = 16 << 20;
  // Pieces of a frame are passed on as they come, so a long frame costs nothing.
  private static final int FRAME = 1 << 20;

  TunnelLimits {
    if (streamWindow < 1
        || usefulStreamWindow < streamWindow
        || mostStreamWindow < usefulStreamWindow
        || connectionWindow < Frame.DEFAULT_WINDOW
        || streams < 0) {
      throw new IllegalArgumentException(
          "limits: windows "
              + streamWindow
              + " to "
              + usefulStreamWindow
              + " to "
              + mostStreamWindow
              + " and "
              + connectionWindow
              + ", streams "
              + streams
              + " (expected: > 0, not less, not less, >= 65535, >= 0)");
    }
    if (frame < Frame.DEFAULT_FRAME_SIZE || frame > Frame.LARGEST_FRAME_SIZE || headerList < 1024) {
      throw new IllegalArgumentException(
          "limits: frame "
              + frame
              + ", header list "
              + headerList
              + " (expected: 16384 to 16777215, >= 1024)");
    }
  }

  /** For the side that opens streams. */
  static TunnelLimits client() {
    return new TunnelLimits(
        STREAM_WINDOW,
        USEFUL_STREAM_WINDOW,
        MOST_STREAM_WINDOW,
        CONNECTION_WINDOW,
        0,
        FRAME,
        16 * 1024);
  }

  /** For the side that accepts them. Peers of other meshes expect 100 streams at the least. */
  static TunnelLimits server() {
    return new TunnelLimits(
        STREAM_WINDOW,
        USEFUL_STREAM_WINDOW,
        MOST_STREAM_WINDOW,
        CONNECTION_WINDOW,
        1024,
        FRAME,
        64 * 1024);
  }

  ReceiveWindow newStreamWindow(GrowthRoom room) {
    return new ReceiveWindow(streamWindow, usefulStreamWindow, mostStreamWindow, room);
  }

  TunnelLimits withStreamWindow(int bytes) {
    return new TunnelLimits(bytes, bytes, bytes, connectionWindow, streams, frame, headerList);
  }
}

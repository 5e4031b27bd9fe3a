package dev.weir.agent.tunnel;

/** What a peer can do by the thousand to cost us more than it costs the peer. */
enum Abuse {
  /** Streams that the peer reset before they were answered (CVE-2023-44487). */
  RAPID_RESET("streams reset before they were answered", 500),
  /** Streams that the peer's errors made us reset (CVE-2025-8671). */
  MADE_TO_RESET("errors that made us reset streams", 500),
  /** SETTINGS, PING, PRIORITY, unknown frames, WINDOW_UPDATE of nothing open. */
  IDLE_CONTROL("control frames that change nothing", 2_000),
  /** DATA without bytes that does not end its stream. */
  EMPTY_DATA("empty DATA frames", 200),
  /** Our answers, which the peer does not read. */
  UNREAD_ANSWERS("answers that the peer does not read", 1_000),
  /** A header block too long, or in too many pieces (CVE-2024-27316 and its family). */
  HEADERS("header blocks too long or in too many frames", 0);

  private final String text;
  private final int limit;

  Abuse(String text, int limit) {
    this.text = text;
    this.limit = limit;
  }

  /** How many a period of {@link TunnelSession#PERIOD_SECONDS} may see. */
  int limit() {
    return limit;
  }

  String text() {
    return text;
  }
}

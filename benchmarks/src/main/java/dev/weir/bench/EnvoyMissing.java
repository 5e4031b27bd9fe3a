package dev.weir.bench;

/** There is no Envoy to compare with; the message says why. */
final class EnvoyMissing extends Exception {
  private static final long serialVersionUID = 1L;

  EnvoyMissing(String why) {
    super(why);
  }
}

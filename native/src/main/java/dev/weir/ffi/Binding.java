package dev.weir.ffi;

/** Chooses who makes the calls. jnr-ffi's classes are loaded only if it is named. */
final class Binding {
  static final Kernel CHOSEN = named(System.getProperty("weir.ffi", "ffm"));

  private Binding() {}

  static Kernel named(String name) {
    return new LinuxKernel(
        switch (name) {
          case "ffm" -> new FfmCalls();
          case "jnr" -> new JnrCalls();
          default ->
              throw new IllegalArgumentException(
                  "weir.ffi: %s (expected: ffm or jnr)".formatted(name));
        });
  }
}

package dev.weir.agent.identity;

import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/** How a control plane is called, as the command line says it. */
public sealed interface LineOptions {
  /** {@code host:port}, {@code [v6]:port}. */
  String target();

  /**
   * By TLS, and as whom the token says.
   *
   * @param root PEM of the roots by which the certificate of who answers is judged
   * @param token the service account token's file
   */
  record Secure(String target, Path root, Path token) implements LineOptions {}

  /** For tests: anybody may answer, and nobody is named. */
  record Plain(String target) implements LineOptions {}

  /** What begins the target of a plain line. */
  String PLAIN = "http://";

  /**
   * The line of {@code --xds}.
   *
   * @param root of {@code --xds-root}
   * @param authorityRoot of {@code --ca-root}, which holds where the former is not given
   * @throws IllegalArgumentException with what is wrong, for the user
   */
  static LineOptions xds(
      String text, @Nullable String root, @Nullable String authorityRoot, @Nullable String token) {
    if (text.startsWith(PLAIN)) {
      if (root != null) {
        throw new IllegalArgumentException(
            "--xds-root: %s is plaintext, so there is nobody to trust; give --xds HOST:PORT for TLS"
                .formatted(text));
      }
      return new Plain(target("--xds", text, text.substring(PLAIN.length())));
    }
    String target = target("--xds", text, text);
    String trusted = root == null ? authorityRoot : root;
    if (trusted == null) {
      throw new IllegalArgumentException(
          "--xds %s: needs --xds-root or --ca-root: whom to trust; %s%s is plaintext, for tests"
              .formatted(text, PLAIN, text));
    }
    if (token == null) {
      throw new IllegalArgumentException(
          "--xds %s: needs --token: what to show; %s%s is plaintext, for tests"
              .formatted(text, PLAIN, text));
    }
    return new Secure(target, Path.of(trusted), Path.of(token));
  }

  /**
   * The line of {@code --ca}.
   *
   * @throws IllegalArgumentException with what is wrong, for the user
   */
  static LineOptions authority(String text, @Nullable String root, @Nullable String token) {
    if (text.startsWith(PLAIN)) {
      throw new IllegalArgumentException(
          "--ca %s: expected HOST:PORT; certificates are asked for by TLS alone".formatted(text));
    }
    String target = target("--ca", text, text);
    if (root == null || token == null) {
      throw new IllegalArgumentException(
          "--ca: needs --ca-root and --token: whom to trust, and what to show");
    }
    return new Secure(target, Path.of(root), Path.of(token));
  }

  private static String target(String option, String text, String target) {
    int colon = target.lastIndexOf(':');
    String host = target.substring(0, Math.max(0, colon));
    boolean bracketed = host.startsWith("[") && host.endsWith("]") && host.length() > 2;
    if (host.isEmpty() || (!bracketed && host.matches(".*[:/\\[\\]].*"))) {
      throw new IllegalArgumentException(
          option.equals("--xds")
              ? "%s %s: expected HOST:PORT, or %sHOST:PORT without TLS"
                  .formatted(option, text, PLAIN)
              : "%s %s: expected HOST:PORT".formatted(option, text));
    }
    String port = target.substring(colon + 1);
    if (!port.matches("[0-9]{1,5}")
        || Integer.parseInt(port) < 1
        || Integer.parseInt(port) > 65_535) {
      throw new IllegalArgumentException(
          "%s port %s: expected a number from 1 to 65535".formatted(option, port));
    }
    return target;
  }

  /** Without the brackets of IPv6. */
  default String host() {
    String host = target().substring(0, target().lastIndexOf(':'));
    return host.startsWith("[") ? host.substring(1, host.length() - 1) : host;
  }

  /** The number after the host. */
  default int port() {
    return Integer.parseInt(target().substring(target().lastIndexOf(':') + 1));
  }
}

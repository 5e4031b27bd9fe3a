package dev.weir.cli;

import java.time.Duration;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/**
 * Go-style durations such as {@code 250ms}, {@code 20s} and {@code 1m30s}, as everywhere in
 * Kubernetes.
 */
final class Durations implements ITypeConverter<Duration> {
  private static final Pattern PART = Pattern.compile("(\\d{1,9})(ms|s|m|h)");

  @Override
  public Duration convert(String given) {
    Matcher part = PART.matcher(given);
    Duration whole = Duration.ZERO;
    int at = 0;
    while (at < given.length() && part.find(at) && part.start() == at) {
      long count = Long.parseLong(part.group(1));
      whole =
          whole.plus(
              switch (part.group(2)) {
                case "ms" -> Duration.ofMillis(count);
                case "s" -> Duration.ofSeconds(count);
                case "m" -> Duration.ofMinutes(count);
                default -> Duration.ofHours(count);
              });
      at = part.end();
    }
    if (at == 0 || at < given.length()) {
      throw new TypeConversionException(
          "'" + given + "' (expected: a time such as 250ms, 20s or 1m30s)");
    }
    return whole;
  }
}

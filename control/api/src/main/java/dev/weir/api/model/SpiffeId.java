package dev.weir.api.model;

/**
 * Who a workload is: {@code spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT}, exactly these
 * five segments and nothing else. What a part may hold is the SPIFFE ID standard's section 2: no
 * escapes, no empty or dot segments, so that two texts are one identity only if they are equal.
 */
public record SpiffeId(String trustDomain, String namespace, String serviceAccount) {
  private static final String SCHEME = "spiffe://";
  private static final int MOST_CHARACTERS = 2048;
  private static final int MOST_TRUST_DOMAIN_CHARACTERS = 255;

  /** A text that was read. */
  public sealed interface Parsed {}

  public record Valid(SpiffeId id) implements Parsed {}

  /** What is wrong with it, for people; quotes nothing of the text but its length and place. */
  public record Invalid(String reason) implements Parsed {}

  public SpiffeId {
    String wrong = problem(trustDomain, namespace, serviceAccount);
    if (!wrong.isEmpty()) {
      throw new IllegalArgumentException("SPIFFE id: " + wrong);
    }
  }

  public static Parsed parse(String text) {
    if (text.length() > MOST_CHARACTERS) {
      return new Invalid(text.length() + " characters (expected: at most " + MOST_CHARACTERS + ")");
    }
    if (!text.startsWith(SCHEME)) {
      return new Invalid("does not begin with spiffe://");
    }
    String[] parts = text.substring(SCHEME.length()).split("/", -1);
    if (parts.length != 5 || !parts[1].equals("ns") || !parts[3].equals("sa")) {
      return new Invalid("not of the form spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT");
    }
    String wrong = problem(parts[0], parts[2], parts[4]);
    return wrong.isEmpty()
        ? new Valid(new SpiffeId(parts[0], parts[2], parts[4]))
        : new Invalid(wrong);
  }

  private static String problem(String trustDomain, String namespace, String serviceAccount) {
    if (trustDomain.isEmpty() || trustDomain.length() > MOST_TRUST_DOMAIN_CHARACTERS) {
      return "its trust domain has " + trustDomain.length() + " characters (expected: 1 to 255)";
    }
    for (int i = 0; i < trustDomain.length(); i++) {
      char c = trustDomain.charAt(i);
      if (!(isLower(c) || isDigit(c) || c == '.' || c == '-' || c == '_')) {
        return "its trust domain has a character at %d that is none of a-z, 0-9, '.', '-', '_'"
            .formatted(i);
      }
    }
    String wrong = segmentProblem("namespace", namespace);
    return wrong.isEmpty() ? segmentProblem("service account", serviceAccount) : wrong;
  }

  private static String segmentProblem(String what, String segment) {
    if (segment.isEmpty() || segment.equals(".") || segment.equals("..")) {
      return "its " + what + " is empty or made of dots";
    }
    for (int i = 0; i < segment.length(); i++) {
      char c = segment.charAt(i);
      if (!(isLower(c)
          || (c >= 'A' && c <= 'Z')
          || isDigit(c)
          || c == '.'
          || c == '-'
          || c == '_')) {
        return "its %s has a character at %d that is none of a-z, A-Z, 0-9, '.', '-', '_'"
            .formatted(what, i);
      }
    }
    return "";
  }

  private static boolean isLower(char c) {
    return c >= 'a' && c <= 'z';
  }

  private static boolean isDigit(char c) {
    return c >= '0' && c <= '9';
  }

  /** The URI. */
  @Override
  public String toString() {
    return SCHEME + trustDomain + "/ns/" + namespace + "/sa/" + serviceAccount;
  }
}

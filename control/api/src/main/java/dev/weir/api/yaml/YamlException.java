package dev.weir.api.yaml;

/**
 * A file that cannot be taken; the message is one line with file, document and line, what is wrong
 * and what to do.
 */
public final class YamlException extends RuntimeException {
  private final transient Problem problem;

  public YamlException(Location where, String message) {
    this(new Problem(where, message));
  }

  public YamlException(Problem problem) {
    super(problem.toString());
    this.problem = problem;
  }

  public Problem problem() {
    return problem;
  }
}

package dev.weir.cli.check;

import java.io.IOException;
import java.nio.file.AccessDeniedException;

/**
 * One thing to find out.
 *
 * @param code stable: a code is never given to another question
 * @param required without it Weir does not work here; otherwise the hint tells what Weir does
 *     instead
 * @param hint what to do where it lacks
 */
record Probe(
    String code, String group, String name, boolean required, String hint, Question question) {
  /**
   * Asks the machine. An exception is an answer too: the feature is not there, and its message says
   * how that showed.
   */
  interface Question {
    Finding ask() throws IOException;
  }

  Feature run() {
    Finding finding;
    try {
      finding = question.ask();
    } catch (AccessDeniedException e) {
      finding = Finding.missing("not allowed: " + e.getFile());
    } catch (IOException | RuntimeException | LinkageError e) {
      String why =
          e.getMessage() == null ? e.getClass().getSimpleName() : firstLine(e.getMessage());
      finding = Finding.missing(why);
    }
    if (finding.state() == Finding.State.MISSING && !required) {
      finding = Finding.limited(finding.detail());
    }
    return new Feature(code, group, name, required, finding, needsHint(finding) ? hint : "");
  }

  private static boolean needsHint(Finding finding) {
    return finding.state() == Finding.State.MISSING || finding.state() == Finding.State.LIMITED;
  }

  private static String firstLine(String message) {
    return message.lines().filter(line -> !line.isBlank()).findFirst().orElse(message).strip();
  }
}

package dev.weir.cli;

/**
 * One line on a terminal's standard error that tells what is being waited for; silent elsewhere.
 */
final class Progress {
  private final Output output;

  Progress(Output output) {
    this.output = output;
  }

  void show(String text) {
    if (output.terminal()) {
      output.err().print("\r\u001b[K" + output.faint(text));
      output.err().flush();
    }
  }

  void clear() {
    if (output.terminal()) {
      output.err().print("\r\u001b[K");
      output.err().flush();
    }
  }
}

package dev.weir.cli;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintWriter;

/** Where a command writes. Colours and anything that moves only where a person looks on. */
record Output(PrintWriter out, PrintWriter err, boolean terminal) {
  private static final String RESET = "\u001b[0m";

  static Output standard() {
    // The launcher tests its own standard output: System.console() would also ask for a terminal on
    // standard input.
    return new Output(
        Main.writer(new FileOutputStream(FileDescriptor.out)),
        Main.writer(new FileOutputStream(FileDescriptor.err)),
        Boolean.getBoolean("weir.terminal") && System.getenv("NO_COLOR") == null);
  }

  void line(String text) {
    out.println(text);
  }

  void flush() {
    out.flush();
    err.flush();
  }

  String green(String text) {
    return coloured("\u001b[32m", text);
  }

  String yellow(String text) {
    return coloured("\u001b[33m", text);
  }

  String red(String text) {
    return coloured("\u001b[31m", text);
  }

  String bold(String text) {
    return coloured("\u001b[1m", text);
  }

  String faint(String text) {
    return coloured("\u001b[2m", text);
  }

  private String coloured(String colour, String text) {
    return terminal ? colour + text + RESET : text;
  }
}

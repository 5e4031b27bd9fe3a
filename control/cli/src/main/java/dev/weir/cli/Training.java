package dev.weir.cli;

import java.io.OutputStream;

/** The run that an AOT cache is made from: what most calls load, without touching the machine. */
final class Training {
  private Training() {}

  static int run(Output output) {
    Output nowhere =
        new Output(
            Main.writer(OutputStream.nullOutputStream()),
            Main.writer(OutputStream.nullOutputStream()),
            false);
    String[][] calls = {{"version"}, {"--help"}, {"no-such-command"}};
    for (String[] call : calls) {
      Main.run(call, nowhere);
    }
    output.line(VersionCommand.text());
    return 0;
  }
}

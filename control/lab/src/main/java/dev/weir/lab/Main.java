package dev.weir.lab;

import java.io.IOException;
import java.nio.file.Files;
import java.util.List;

/** The daemon of one lab: {@code weir run lab NAME}, started by {@link LabClient#up}. */
public final class Main {
  private static final String USAGE =
      """
      usage: weir run lab NAME
      The daemon of one lab. `weir lab up --name NAME` starts it, `weir lab down --name NAME` ends it.\
      """;

  private Main() {}

  public static void main(String[] args) {
    if (List.of(args).equals(List.of("--help"))) {
      System.out.println(USAGE);
      return;
    }
    if (args.length != 1) {
      System.err.println(USAGE);
      System.exit(2);
    }
    try {
      LabNames.check(args[0]);
      Paths paths = new Paths(args[0]);
      Files.writeString(paths.pid(), ProcessHandle.current().pid() + "\n");
      try (Lab lab = new Lab(paths)) {
        new Requests(lab).serve(paths.socket());
      }
    } catch (IOException | LabException e) {
      System.err.println("weir lab: " + e.getMessage());
      System.exit(1);
    }
  }
}

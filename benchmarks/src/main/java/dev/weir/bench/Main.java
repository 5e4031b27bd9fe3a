package dev.weir.bench;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/** {@code weir bench}: parses its flags, brings a lab up, measures, prints, takes the lab down. */
public final class Main {
  private static final int ROUNDS = 5;
  private static final String LAB = "bench";
  private static final String USAGE =
      """
          Usage: weir bench same-node [--quick] [--rounds N] [-o table|json]
                 weir bench integrity [--bytes N] [-o table|json]
                 weir bench micro [JMH-OPTION|REGEX]...

          same-node    the same two pods with no mesh, direct, joined, through the agent to a server outside
                       the mesh, and the same with the in-pod hop joined: RTT, throughput, connections/s, the agent's CPU;
                       interleaved, medians with their spread over at least 5 rounds
          micro        the JMH microbenchmarks whose names match
      integrity    a joined connection byte by byte over fast, ragged and slow readers (default 100 GB)

          Examples:
            weir bench same-node --quick
            weir bench same-node -o json > same-node.json
            weir bench integrity --bytes 1000000000
      """;

  private Main() {}

  public static void main(String[] args) {
    System.exit(run(List.of(args)));
  }

  private static int run(List<String> args) {
    if (args.isEmpty() || args.contains("--help") || args.contains("-h")) {
      System.out.print(USAGE);
      return args.isEmpty() ? 2 : 0;
    }
    try {
      if (args.getFirst().equals("micro")) {
        org.openjdk.jmh.Main.main(args.subList(1, args.size()).toArray(String[]::new));
        return 0;
      }
      Options options = Options.parse(args);
      Path home = Path.of(required("WEIR_HOME"));
      Path load = home.resolve("benchmarks/target/weir-load");
      try (Weir weir = Weir.up(home, LAB, SameNode.yaml(load))) {
        List<Figure> figures =
            switch (options.what()) {
              case SAME_NODE ->
                  new SameNode(weir, load, options.quick(), options.rounds(), Main::progress)
                      .measure();
              case INTEGRITY ->
                  Integrity.verify(weir, load.toString(), options.bytes(), Main::progress);
            };
        System.out.println(options.json() ? Table.json(figures) : Table.text(figures));
      }
      return 0;
    } catch (IllegalArgumentException e) {
      System.err.println("weir bench: " + e.getMessage() + "; see weir bench --help");
      return 2;
    } catch (IOException e) {
      System.err.println("weir bench: " + e.getMessage());
      return 1;
    }
  }

  private static String required(String variable) {
    String value = System.getenv(variable);
    if (value == null) {
      throw new IllegalArgumentException(variable + " is not set: start it as `weir bench`");
    }
    return value;
  }

  private static void progress(String line) {
    System.err.println(line);
  }

  enum What {
    SAME_NODE,
    INTEGRITY
  }

  record Options(What what, boolean quick, int rounds, long bytes, boolean json) {
    private static final long BYTES = 100_000_000_000L;

    static Options parse(List<String> args) {
      What what =
          switch (args.getFirst()) {
            case "same-node" -> What.SAME_NODE;
            case "integrity" -> What.INTEGRITY;
            default -> throw new IllegalArgumentException("no such benchmark: " + args.getFirst());
          };
      Options options = new Options(what, false, ROUNDS, BYTES, false);
      for (int i = 1; i < args.size(); i++) {
        String flag = args.get(i);
        options =
            switch (flag) {
              case "--quick" ->
                  new Options(what, true, options.rounds, options.bytes, options.json);
              case "--rounds" ->
                  new Options(
                      what,
                      options.quick,
                      (int) number(args, ++i, ROUNDS),
                      options.bytes,
                      options.json);
              case "--bytes" ->
                  new Options(
                      what, options.quick, options.rounds, number(args, ++i, 1), options.json);
              case "-o" ->
                  new Options(what, options.quick, options.rounds, options.bytes, json(args, ++i));
              default -> throw new IllegalArgumentException("no such option: " + flag);
            };
      }
      return options;
    }

    private static String value(List<String> args, int i) {
      if (i == args.size()) {
        throw new IllegalArgumentException(args.get(i - 1) + " needs a value");
      }
      return args.get(i);
    }

    private static long number(List<String> args, int i, long atLeast) {
      String text = value(args, i);
      try {
        long number = Long.parseLong(text);
        if (number >= atLeast) {
          return number;
        }
      } catch (NumberFormatException e) {
        throw new IllegalArgumentException(
            "%s: %s (expected: a whole number)".formatted(args.get(i - 1), text), e);
      }
      throw new IllegalArgumentException(
          "%s: %s (expected: at least %d)".formatted(args.get(i - 1), text, atLeast));
    }

    private static boolean json(List<String> args, int i) {
      return switch (value(args, i)) {
        case "json" -> true;
        case "table" -> false;
        default ->
            throw new IllegalArgumentException(
                "-o: %s (expected: table or json)".formatted(args.get(i)));
      };
    }
  }
}

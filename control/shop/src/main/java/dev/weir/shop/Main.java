package dev.weir.shop;

import java.io.IOException;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Function;

/** {@code ROLE [--port 8080] [--rate 40]}: serves until SIGTERM, then ends what it is at. */
public final class Main {
  static final int PORT = 8080;
  private static final int RATE_PER_SECOND = 40;

  private Main() {}

  public static void main(String[] arguments) {
    // A shop's names move with its pods; Java would remember an address for 30 s and a failure for
    // 10.
    System.setProperty("sun.net.inetaddr.ttl", "5");
    System.setProperty("sun.net.inetaddr.negative.ttl", "0");
    try {
      if (List.of(arguments).equals(List.of("--train"))) {
        train();
      } else {
        start(arguments);
      }
    } catch (IOException | IllegalArgumentException e) {
      System.err.println("weir-shop: " + e.getMessage());
      System.exit(1);
    }
  }

  private static void start(String[] arguments) throws IOException {
    String role = "";
    int port = PORT;
    int rate = RATE_PER_SECOND;
    for (int i = 0; i < arguments.length; i++) {
      switch (arguments[i]) {
        case "--port" -> port = number(arguments, ++i, 0, 65_535);
        case "--rate" -> rate = number(arguments, ++i, 1, 10_000);
        default -> {
          if (!role.isEmpty()) {
            throw new IllegalArgumentException(
                "one role at a time: '" + arguments[i] + "' after '" + role + "'");
          }
          role = arguments[i];
        }
      }
    }
    Map<String, String> environment = System.getenv();
    if (role.equals("load")) {
      Load load = new Load(Role.upstream("front", environment), rate);
      Server server = Server.listen(port, request -> statistics(load, request));
      atEnd(
          server,
          () -> {
            load.stop();
            log(load.counts());
          });
      log("load: " + rate + " pages a second, statistics on port " + server.port());
      load.run();
      Thread.ofPlatform().name("report").daemon().start(() -> report(load));
    } else {
      Server server = Server.listen(port, answer(Role.named(role, environment)));
      atEnd(server, () -> {});
      log(role + " on port " + server.port());
    }
  }

  static Function<Message, Message> answer(Role role) {
    return request -> {
      String path = request.path();
      try {
        return switch (path) {
          case "/healthz" -> Message.response(200, "ok\n");
          case "/ready" -> ready(role);
          default -> Message.response(200, role.serve(path));
        };
      } catch (IOException e) {
        return Message.response(502, e.getMessage() + "\n");
      }
    };
  }

  /** Ready all the way down, so that who waits for the front waits for the shop. */
  private static Message ready(Role role) {
    List<String> missing = new ArrayList<>();
    for (Upstream upstream : role.upstreams()) {
      try {
        upstream.get("/ready");
      } catch (IOException e) {
        missing.add(upstream.host() + " is not ready: " + e.getMessage());
      }
    }
    return missing.isEmpty()
        ? Message.response(200, "ready\n")
        : Message.response(503, String.join("; ", missing) + "\n");
  }

  private static Message statistics(Load load, Message request) {
    return switch (request.path()) {
      case "/healthz" -> Message.response(200, "ok\n");
      case "/ready" ->
          load.isOpen()
              ? Message.response(200, "open\n")
              : Message.response(503, "the shop is not open yet\n");
      default -> Message.response(200, load.counts() + "\n");
    };
  }

  private static void report(Load load) {
    while (true) {
      log(load.counts());
      LockSupport.parkNanos(1_000_000_000L);
    }
  }

  private static void atEnd(Server server, Runnable last) {
    Runtime.getRuntime()
        .addShutdownHook(
            new Thread(() -> {
              try {
                server.close();
              } catch (IOException e) {
                log("closing: " + e.getMessage());
              }
              last.run();
            }));
  }

  /** The run that an AOT cache is made from: a caller and a served role, over loopback. */
  private static void train() throws IOException {
    try (Server inventory = Server.listen(0, answer(new Role.Inventory()));
        Server cart =
            Server.listen(
                0, answer(new Role.Cart(new Upstream("localhost:" + inventory.port()))))) {
      Upstream caller = new Upstream("localhost:" + cart.port());
      caller.get("/ready");
      for (int visit = 0; visit < 100; visit++) {
        caller.get("/cart/" + visit);
      }
      log("trained: " + caller.get("/cart/0").strip());
    }
  }

  private static int number(String[] arguments, int at, int least, int most) {
    String given = at < arguments.length ? arguments[at] : "nothing";
    try {
      int number = Integer.parseInt(given);
      if (number >= least && number <= most) {
        return number;
      }
    } catch (NumberFormatException e) {
      // Said below, with the range.
    }
    throw new IllegalArgumentException(
        "%s: %s (expected: %d to %d)".formatted(arguments[at - 1], given, least, most));
  }

  static void log(String text) {
    System.err.println(Instant.now().truncatedTo(ChronoUnit.MILLIS) + " INFO shop: " + text);
  }
}

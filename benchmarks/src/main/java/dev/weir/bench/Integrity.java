package dev.weir.bench;

import dev.weir.api.json.Json;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;

/** Bytes through a joined connection, checked one by one over readers of every speed. */
final class Integrity {
  private static final List<String> READERS = List.of("fast", "ragged", "slow");
  private static final String PORT_FREE = "7002";

  // The slow reader pauses for 5 ms after each 4 MiB; none is as slow as this.
  private static final long LEAST_BYTES_PER_SECOND = 20_000_000;

  private Integrity() {}

  static List<Figure> verify(Weir weir, String load, long bytes, Consumer<String> progress)
      throws IOException {
    String address = Status.read(weir).ip("server");
    for (String pod : List.of("client", "server")) {
      weir.annotate("pod/" + pod, "weir.dev/mesh=enabled", "weir.dev/fast-path=joined");
    }
    Status.awaitEnrolled(weir, Set.of("client", "server"));
    Paths.awaitPath(weir, "joined", () -> connect(weir, load, address).get("done").number() > 0);
    List<Figure> figures = new ArrayList<>();
    for (String reader : READERS) {
      figures.add(one(weir, load, address, bytes / READERS.size(), reader, progress));
    }
    return figures;
  }

  private static Json connect(Weir weir, String load, String address) throws IOException {
    return Json.parse(
        weir.exec("client", List.of(load, "connect", address, PORT_FREE, "1", "0.05")));
  }

  private static Figure one(
      Weir weir, String load, String address, long bytes, String reader, Consumer<String> progress)
      throws IOException {
    progress.accept("%.1f GB joined, %s reader".formatted(bytes / 1e9, reader));
    Json result =
        Json.parse(
            weir.exec(
                "client",
                List.of(load, "verify", address, PORT_FREE, Long.toString(bytes), reader),
                Duration.ofSeconds(120 + bytes / LEAST_BYTES_PER_SECOND)));
    return Figure.of(
        "verified-" + reader + "-reader",
        "GB",
        "joined",
        List.of(result.get("right").number() / 1e9));
  }
}

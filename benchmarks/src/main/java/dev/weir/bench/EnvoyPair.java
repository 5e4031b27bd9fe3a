package dev.weir.bench;

import dev.weir.api.json.Json;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Two Envoys that do between two pods outside the mesh what Weir's agents do: one in the client
 * pod's network namespace, one in the server pod's, CONNECT over HTTP/2 in mutual TLS 1.3 from one
 * to the other. The hops are the same as Weir's: application to proxy inside the pod, one
 * connection between the pods, proxy to application inside the pod. The client connects to Envoy by
 * its address, so no redirection is paid for. Two worker threads each, as an agent has two event
 * loops; no access log.
 */
final class EnvoyPair implements Way, AutoCloseable {
  private static final String CLIENT = "client";
  private static final String SERVER = "server";
  private static final String CONNECTIONS = "tcp.connections.downstream_cx_total";
  private static final String STREAMS = "http.tunnel.downstream_rq_total";
  private static final String HANDSHAKES = "listener.0.0.0.0_15008.ssl.versions.TLSv1.3";

  private final Weir weir;
  private final Path load;
  private final Path program;
  private final Path folder;
  private final Status.PodEntry clientPod;
  private final Status.PodEntry serverPod;
  private final Thread onExit = new Thread(this::stop, "envoys-end");
  private volatile @Nullable Process client;
  private volatile @Nullable Process server;

  private EnvoyPair(Weir weir, Path load, Path program, Path folder) throws IOException {
    this.weir = weir;
    this.load = load;
    this.program = program;
    this.folder = folder;
    Status status = Status.read(weir);
    this.clientPod = status.pod("envoy-client");
    this.serverPod = status.pod("envoy-server");
  }

  static EnvoyPair start(Weir weir, Path load, Consumer<String> progress)
      throws IOException, EnvoyMissing {
    Path program = EnvoyProgram.find(progress);
    Path folder =
        Files.createTempDirectory(
            "weir-bench-envoy-",
            PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
    EnvoyPair pair = new EnvoyPair(weir, load, program, folder);
    Runtime.getRuntime().addShutdownHook(pair.onExit);
    try {
      PeerCertificates.issue(folder, List.of(CLIENT, SERVER));
      for (String side : List.of(CLIENT, SERVER)) {
        Files.writeString(folder.resolve(side + ".yaml"), pair.configuration(side));
      }
      pair.restart();
      return pair;
    } catch (IOException | RuntimeException e) {
      pair.close();
      throw e;
    }
  }

  private String configuration(String side) throws IOException {
    return Resources.text("envoy-" + side + ".yaml")
        .replace("FOLDER", folder.toString())
        .replace("SERVER", serverPod.ip());
  }

  @Override
  public String title() {
    return "Envoy pair";
  }

  @Override
  public String pod() {
    return "envoy-client";
  }

  @Override
  public String host() {
    return "127.0.0.1";
  }

  @Override
  public String portCore0() {
    return "9100";
  }

  @Override
  public String portFree() {
    return "9102";
  }

  @Override
  public List<ProxyProcess> proxies() throws IOException {
    return List.of(running(client, CLIENT), running(server, SERVER));
  }

  private ProxyProcess running(@Nullable Process process, String side) throws IOException {
    if (process == null || !process.isAlive()) {
      throw new IOException("the %s's Envoy has ended: %s".formatted(side, lastWords(side)));
    }
    return new ProxyProcess(process.pid());
  }

  @Override
  public void restart() throws IOException {
    stop();
    server = envoy(SERVER, serverPod.netns());
    client = envoy(CLIENT, clientPod.netns());
    List<String> one = List.of(load.toString(), "connect", host(), portFree(), "1", "0.01");
    Status.await(
        "a connection through the Envoy pair",
        () -> {
          proxies();
          return Json.parse(weir.exec(pod(), one)).get("done").number() > 0;
        });
  }

  private Process envoy(String side, String netns) throws IOException {
    return new ProcessBuilder(
            // A scheduling group of its own, as the lab's agents have.
            "setsid",
            // As many files as the launcher gives the agent, where that is allowed: one that may
            // open no more accepts no more, and who connects to it waits.
            "bash",
            "-c",
            "ulimit -n 1048576 2>/dev/null || true; exec \"$@\"",
            "envoy",
            "nsenter",
            "--net=/run/netns/" + netns,
            program.toString(),
            "-c",
            folder.resolve(side + ".yaml").toString(),
            "--concurrency",
            "2",
            "--disable-hot-restart",
            "-l",
            "warning")
        .redirectErrorStream(true)
        .redirectOutput(folder.resolve(side + ".log").toFile())
        .start();
  }

  private String lastWords(String side) throws IOException {
    Path log = folder.resolve(side + ".log");
    List<String> lines = Files.exists(log) ? Files.readAllLines(log) : List.of();
    return lines.isEmpty() ? "it said nothing" : lines.getLast();
  }

  @Override
  public Passage passage() throws IOException {
    return since(Paths.read(weir), counter(CLIENT, CONNECTIONS), counter(SERVER, STREAMS));
  }

  @Override
  public Passage passageOfNewProxies() throws IOException {
    return passage();
  }

  private Passage since(Paths paths, long connections, long streams) {
    return () -> {
      Paths.read(weir).assertOnly(paths, "none", title());
      long connected = counter(CLIENT, CONNECTIONS) - connections;
      long tunnelled = counter(SERVER, STREAMS) - streams;
      if (connected == 0 || connected != tunnelled || counter(SERVER, HANDSHAKES) == 0) {
        throw new IOException(
            "%s: %d connections came, %d went through the tunnel (expected: all)"
                .formatted(title(), connected, tunnelled));
      }
    };
  }

  /** One of Envoy's counters, by the admin socket of that side. */
  private long counter(String side, String name) throws IOException {
    String request =
        "GET /stats?filter=%s HTTP/1.1\r\nHost: envoy\r\nConnection: close\r\n\r\n".formatted(name);
    String text =
        Background.start(() -> ask(side, request))
            .join("an answer of the %s's Envoy".formatted(side), Duration.ofSeconds(10));
    Matcher found = Pattern.compile("(?m)^" + Pattern.quote(name) + ": (\\d+)").matcher(text);
    if (!found.find()) {
      throw new IOException("the %s's Envoy has no counter %s: %s".formatted(side, name, text));
    }
    return Long.parseLong(found.group(1));
  }

  private String ask(String side, String request) throws IOException {
    ByteBuffer answer = ByteBuffer.allocate(1 << 16);
    try (SocketChannel admin = SocketChannel.open(StandardProtocolFamily.UNIX)) {
      admin.connect(UnixDomainSocketAddress.of(folder.resolve(side + ".sock")));
      admin.write(ByteBuffer.wrap(request.getBytes(StandardCharsets.US_ASCII)));
      int read;
      do {
        read = admin.read(answer);
      } while (read > 0);
    }
    return new String(answer.array(), 0, answer.position(), StandardCharsets.US_ASCII);
  }

  private void stop() {
    List<Process> running = new ArrayList<>();
    Stream.of(client, server)
        .forEach(process -> {
          if (process != null) {
            process.destroy();
            running.add(process);
          }
        });
    for (Process process : running) {
      try {
        if (!process.waitFor(5, TimeUnit.SECONDS)) {
          process.destroyForcibly();
        }
      } catch (InterruptedException e) {
        process.destroyForcibly();
        Thread.currentThread().interrupt();
      }
    }
  }

  @Override
  public void close() throws IOException {
    Runtime.getRuntime().removeShutdownHook(onExit);
    stop();
    try (Stream<Path> files = Files.walk(folder)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(file);
      }
    }
  }
}

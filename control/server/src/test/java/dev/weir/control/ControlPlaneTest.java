package dev.weir.control;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.weir.api.json.Json;
import dev.weir.control.log.Log;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.InstantSource;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The whole process but its main method. */
final class ControlPlaneTest {
  private static final String SERVICE =
      "apiVersion: v1\nkind: Service\nmetadata: {name: %s, namespace: shop}\nspec: {ports: [{port: 80}]}\n";

  @TempDir Path directory = Path.of("");

  private ControlPlane start(String... more) throws IOException {
    Files.createDirectories(directory.resolve("state"));
    String[] args = new String[4 + more.length];
    System.arraycopy(
        new String[] {
          "--source-dir", directory.resolve("state").toString(), "--listen-plain", "127.0.0.1:0"
        },
        0,
        args,
        0,
        4);
    System.arraycopy(more, 0, args, 4, more.length);
    return ControlPlane.start(
        ControlOptions.parse(args),
        InstantSource.system(),
        new Log(System.err, InstantSource.system(), "control"));
  }

  private Path socket() {
    return directory.resolve("admin.sock");
  }

  private void write(String name, String text) throws IOException {
    Path temporary = directory.resolve(name + ".tmp");
    Files.writeString(temporary, text);
    Files.move(temporary, directory.resolve("state").resolve(name));
  }

  @Test
  void the_status_tells_what_was_read_and_what_is_wrong() throws IOException {
    try (ControlPlane plane = start("--admin-socket", socket().toString())) {
      write("a.yaml", SERVICE.formatted("front"));
      write("b.yaml", SERVICE.formatted("front_"));
      await()
          .atMost(Duration.ofSeconds(10))
          .untilAsserted(() -> {
            Json status = Json.parse(get("/status"));
            assertThat(status.get("objects").integer()).isEqualTo(1);
            assertThat(status.get("resources").integer()).isEqualTo(1);
            assertThat(status.get("generation").integer()).isEqualTo(plane.generation());
            assertThat(status.get("errors").items()).hasSize(1);
          });
      Json error = Json.parse(get("/status")).get("errors").items().getFirst();
      assertThat(error.get("file").text()).endsWith("state/b.yaml");
      assertThat(error.get("line").integer()).isEqualTo(3);
      assertThat(error.get("message").text()).contains("metadata.name 'front_' is no DNS name");
      assertThat(get("/other")).contains("there is only /status");
      assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(socket())))
          .isEqualTo("rw-------");
    }
    assertThat(socket()).doesNotExist();
  }

  @Test
  void a_change_that_means_nothing_to_the_mesh_is_not_published() throws IOException {
    try (ControlPlane plane = start("--admin-socket", socket().toString())) {
      write("a.yaml", SERVICE.formatted("front"));
      await()
          .atMost(Duration.ofSeconds(10))
          .until(() -> Json.parse(get("/status")).get("resources").integer() == 1);
      long before = plane.generation();
      write("b.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n");
      await()
          .atMost(Duration.ofSeconds(10))
          .until(() -> Json.parse(get("/status")).get("objects").integer() == 2);
      write("c.yaml", SERVICE.formatted("cart"));
      await().atMost(Duration.ofSeconds(10)).until(() -> plane.generation() > before);
      assertThat(plane.generation()).isEqualTo(before + 1);
    }
  }

  @Test
  void a_socket_that_a_dead_process_left_is_replaced_one_of_a_living_is_not() throws IOException {
    try (ServerSocketChannel dead =
        ServerSocketChannel.open(java.net.StandardProtocolFamily.UNIX)) {
      dead.bind(UnixDomainSocketAddress.of(socket()));
      assertThatThrownBy(() -> start("--admin-socket", socket().toString()))
          .isInstanceOf(ControlPlane.StartException.class)
          .hasMessageContaining("another process listens there");
    }
    assertThat(socket()).exists();
    try (ControlPlane plane = start("--admin-socket", socket().toString())) {
      assertThat(plane.plainPort()).isPositive();
      assertThat(get("/status")).contains("generation");
    }
  }

  @Test
  void a_port_in_use_is_one_clear_line() throws IOException {
    try (ControlPlane plane = start()) {
      String taken = "127.0.0.1:" + plane.plainPort();
      assertThatThrownBy(() -> start("--listen-plain", taken))
          .isInstanceOf(ControlPlane.StartException.class)
          .hasMessageContaining("cannot listen on " + taken)
          .hasMessageContaining(
              "Address already in use; stop what uses it, or give another --listen-plain");
    }
  }

  @Test
  void a_command_line_that_cannot_be_meant_is_refused() {
    refused("--source-dir is missing; see --help");
    refused("unknown option --sauce; see --help", "--sauce", "x");
    refused("--source-dir needs a value; see --help", "--source-dir");
    refused("--listen is 'here' (expected: ADDR:PORT", "--source-dir", "x", "--listen", "here");
    refused("--listen is '::1:70000'", "--source-dir", "x", "--listen=::1:70000");
    refused("--listen-plain is 'x'", "--source-dir", "x", "--listen-plain", "x");
    refused("unknown option --listen-tls", "--source-dir=x", "--listen-tls=127.0.0.1:1");
  }

  @Test
  void without_a_certificate_there_is_no_TLS_port_and_without_asking_no_plain_one() {
    refused("nodes could call nothing: give one of --ca-dir", "--source-dir=x");
    refused(
        "--listen is a TLS port, which needs a certificate", "--source-dir=x", "--listen=[::1]:7");
    refused("--token-keys is missing", "--source-dir=x", "--ca-dir=y");
    refused(
        "--listen-plain: --listen has that port",
        "--source-dir=x",
        "--ca-dir=y",
        "--token-keys=k",
        "--listen=127.0.0.1:7",
        "--listen-plain=127.0.0.1:7");
    ControlOptions standard =
        ControlOptions.parse("--source-dir=x", "--ca-dir=y", "--token-keys=k");
    assertThat(standard.listen())
        .isEqualTo(new InetSocketAddress(InetAddress.ofLiteral("127.0.0.1"), 15012));
    assertThat(standard.listenPlain()).isNull();
    ControlOptions plain = ControlOptions.parse("--source-dir=x", "--listen-plain=[::1]:7");
    assertThat(plain.listen()).isNull();
    assertThat(plain.listenPlain())
        .isEqualTo(new InetSocketAddress(InetAddress.ofLiteral("::1"), 7));
  }

  private static void refused(String message, String... args) {
    assertThatThrownBy(() -> ControlOptions.parse(args))
        .isInstanceOf(ControlOptions.UsageException.class)
        .hasMessageContaining(message);
  }

  /** The body of the answer. */
  private String get(String path) throws IOException {
    try (SocketChannel channel = SocketChannel.open(UnixDomainSocketAddress.of(socket()))) {
      channel.write(
          ByteBuffer.wrap(
              ("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n").getBytes(StandardCharsets.UTF_8)));
      ByteBuffer answer = ByteBuffer.allocate(64 << 10);
      while (channel.read(answer) >= 0) {
        // One request a connection: the server closes after its answer.
        assertThat(answer.hasRemaining()).isTrue();
      }
      String text = new String(answer.array(), 0, answer.position(), StandardCharsets.UTF_8);
      return text.substring(text.indexOf("\r\n\r\n") + 4);
    }
  }
}

package dev.weir.shop;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(30)
final class ShopTest {
  @Test
  void aVisitGoesThroughTheWholeShopAndEveryFourthPays() throws IOException {
    try (Server inventory = open("inventory", Map.of());
        Server cart = open("cart", Map.of("INVENTORY_AT", at(inventory)));
        Server catalog = open("catalog", Map.of("VERSION", "v2"));
        Server payments = open("payments", Map.of());
        Server front =
            open(
                "front",
                Map.of(
                    "CATALOG_AT", at(catalog), "CART_AT", at(cart), "PAYMENTS_AT", at(payments)))) {
      Upstream visitor = new Upstream(at(front));
      assertThat(visitor.get("/ready")).isEqualTo("ready\n");
      assertThat(visitor.get("/"))
          .contains("catalog v2")
          .contains("teapot in stock")
          .doesNotContain("paid");
      visitor.get("/");
      visitor.get("/");
      assertThat(visitor.get("/")).contains("paid, receipt 1");
    }
  }

  @Test
  void theFrontIsNotReadyWhileARoleIsMissingAndSaysWhich() throws IOException {
    try (Server front =
        open(
            "front",
            Map.of("CATALOG_AT", closed(), "CART_AT", closed(), "PAYMENTS_AT", closed()))) {
      assertThatThrownBy(() -> new Upstream(at(front)).get("/ready"))
          .isInstanceOf(IOException.class)
          .hasMessageContaining("503")
          .hasMessageContaining("is not ready");
    }
  }

  @Test
  void aKeptConnectionThatThePeerClosedIsReplacedWithoutAFailure() throws Exception {
    try (ServerSocket listener = new ServerSocket(0, 8, InetAddress.getLoopbackAddress())) {
      CompletableFuture<Void> peer =
          CompletableFuture.runAsync(() -> {
            for (int connection = 0; connection < 2; connection++) {
              try (Socket socket = listener.accept()) {
                Message.read(socket.getInputStream());
                Message.response(200, "answer " + connection).write(socket.getOutputStream());
              } catch (IOException e) {
                throw new IllegalStateException(e);
              }
            }
          });
      Upstream upstream = new Upstream("localhost:" + listener.getLocalPort());
      assertThat(upstream.get("/")).isEqualTo("answer 0");
      assertThat(upstream.get("/")).isEqualTo("answer 1");
      peer.get(5, TimeUnit.SECONDS);
    }
  }

  @Test
  void aFreshConnectionThatEndsWithoutAnAnswerIsAFailure() throws Exception {
    try (ServerSocket listener = new ServerSocket(0, 8, InetAddress.getLoopbackAddress())) {
      CompletableFuture<Void> peer =
          CompletableFuture.runAsync(() -> {
            try (Socket socket = listener.accept()) {
              Message.read(socket.getInputStream());
            } catch (IOException e) {
              throw new IllegalStateException(e);
            }
          });
      assertThatThrownBy(() -> new Upstream("localhost:" + listener.getLocalPort()).get("/"))
          .hasMessage("localhost: closed without an answer");
      peer.get(5, TimeUnit.SECONDS);
    }
  }

  @Test
  void aPortInUseIsSaidWithItsNumber() throws IOException {
    try (Server first = open("inventory", Map.of())) {
      assertThatThrownBy(() -> Server.listen(first.port(), request -> request))
          .hasMessageContaining("cannot listen on port " + first.port());
    }
  }

  @Test
  void aRoleThatIsNoneIsSaidWithThoseThatAre() {
    assertThatThrownBy(() -> Role.named("baker", Map.of()))
        .hasMessageContaining("no role 'baker' (expected: front");
  }

  @Test
  void aMessageReadsAsItWasWritten() throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    Message.response(200, "grün\n").write(out);
    Message read =
        Objects.requireNonNull(Message.read(new ByteArrayInputStream(out.toByteArray())));
    assertThat(read.status()).isEqualTo(200);
    assertThat(read.body()).isEqualTo("grün\n");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\ncontent-length: many\r\n\r\n",
        "GET / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        "GET / HTTP/1.1\r\ncontent-length: 99999999\r\n\r\n",
        "GET / HTTP/1.1\r\ncontent-length: 5\r\n\r\nabc",
        "GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
      })
  void aBrokenMessageIsAnErrorAndNotAHang(String text) {
    assertThatThrownBy(
            () -> Message.read(new ByteArrayInputStream(text.getBytes(StandardCharsets.US_ASCII))))
        .isInstanceOf(IOException.class);
  }

  private static Server open(String role, Map<String, String> environment) throws IOException {
    return Server.listen(0, Main.answer(Role.named(role, environment)));
  }

  private static String at(Server server) {
    return "localhost:" + server.port();
  }

  private static String closed() throws IOException {
    try (ServerSocket socket = new ServerSocket()) {
      socket.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
      return "localhost:" + socket.getLocalPort();
    }
  }
}

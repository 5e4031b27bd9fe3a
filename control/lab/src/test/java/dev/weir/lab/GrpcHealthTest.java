package dev.weir.lab;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** Against frames as a gRPC server sends them. */
class GrpcHealthTest {
  private static final String SETTINGS = "000000 04 00 00000000";
  private static final String SETTINGS_ACK = "000000 04 01 00000000";

  /** :status 200 from the static table; content is skipped by the prober. */
  private static final String HEADERS = "000001 01 04 00000001 88";

  private final ByteArrayOutputStream sent = new ByteArrayOutputStream();

  private Optional<String> check(String... frames) throws IOException {
    byte[] bytes = HexFormat.of().parseHex(String.join("", frames).replace(" ", ""));
    return GrpcHealth.check(
        new ByteArrayInputStream(bytes), sent, "10.244.1.2:50051", "shop.Orders");
  }

  @Test
  void servingIsWell() throws IOException {
    assertThat(check(SETTINGS, SETTINGS_ACK, HEADERS, "000007 00 00 00000001 00 00000002 0801"))
        .isEmpty();
    String request = sent.toString(StandardCharsets.ISO_8859_1);
    assertThat(request)
        .startsWith("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .contains(
            "/grpc.health.v1.Health/Check",
            "application/grpc",
            "10.244.1.2:50051",
            "\n\u000bshop.Orders");
  }

  @Test
  void anAnswerInPaddedPiecesIsReadAsOne() throws IOException {
    assertThat(
            check(
                SETTINGS,
                HEADERS,
                "000005 00 08 00000001 01 000000 00",
                "000004 00 00 00000001 00 02 08 01"))
        .isEmpty();
  }

  @Test
  void notServingARefusalAndSilenceAreSaid() throws IOException {
    assertThat(check(SETTINGS, HEADERS, "000007 00 00 00000001 00 00000002 0802"))
        .hasValueSatisfying(why -> assertThat(why).contains("SERVING"));
    assertThat(check(SETTINGS, "000001 01 05 00000001 88"))
        .hasValueSatisfying(why -> assertThat(why).contains("grpc.health.v1"));
    assertThat(check(SETTINGS, "000004 03 00 00000001 00000007"))
        .hasValueSatisfying(why -> assertThat(why).contains("refused"));
    assertThatThrownBy(() -> check(SETTINGS)).isInstanceOf(EOFException.class);
    assertThat(check("ffffff 00 00 00000001"))
        .hasValueSatisfying(why -> assertThat(why).contains("16384"));
  }
}

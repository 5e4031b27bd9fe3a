package dev.weir.api.json;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class JsonTest {
  @Test
  void whatIsWrittenReadsBackTheSame() {
    Json value =
        Json.object()
            .with("name", "a \"quoted\"\n\u0001 <b> \u2028 ü 😀")
            .with("count", 12)
            .with("ratio", 0.25)
            .with("on", true)
            .with("none", Json.Nothing.NOTHING)
            .with("list", List.of("x", "y"))
            .with("empty", Json.object().build())
            .build();

    assertThat(Json.parse(value.toJson())).isEqualTo(value);
    assertThat(Json.parse(value.toPrettyJson())).isEqualTo(value);
    assertThat(value.toJson()).contains("\"count\":12,").doesNotContain("<");
  }

  @Test
  void aPathThatIsNotThereIsNullAllTheWay() {
    assertThat(Json.parse("{\"a\":[1]}").get("b").get("c").isNull()).isTrue();
    assertThat(Json.parse("{\"a\":[1]}").get("a").items()).containsExactly(Json.of(1));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "{",
        "[1,]",
        "{\"a\":1,}",
        "{\"a\":1,\"a\":2}",
        "01",
        "1.",
        "-",
        "\"\\x\"",
        "\"a",
        "tru",
        "[1] 2",
        "\"\u0001\"",
        "{a:1}",
        "1e"
      })
  void whatIsNotJsonIsRefusedWithItsPlace(String text) {
    assertThatThrownBy(() -> Json.parse(text))
        .isInstanceOf(JsonException.class)
        .hasMessageContaining("JSON at character");
  }

  @Test
  void nestingIsBounded() {
    assertThatThrownBy(() -> Json.parse("[".repeat(100_000)))
        .isInstanceOf(JsonException.class)
        .hasMessageContaining("nested");
  }
}

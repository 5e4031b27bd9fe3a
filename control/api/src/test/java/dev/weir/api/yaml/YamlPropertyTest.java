package dev.weir.api.yaml;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;

final class YamlPropertyTest {
  @Property(tries = 500)
  void what_is_written_is_what_is_read(@ForAll("trees") Map<String, Object> tree) {
    StringBuilder out = new StringBuilder();
    YamlWriter.document(out, tree);
    List<YamlNode> documents = YamlReader.read("t.yaml", out.toString());
    assertThat(documents).as(out.toString()).hasSize(1);
    assertThat(value(documents.getFirst())).as(out.toString()).isEqualTo(tree);
  }

  @Property(tries = 500)
  void any_text_is_read_or_refused_in_one_line(@ForAll("nearlyYaml") String text) {
    try {
      YamlReader.read("t.yaml", text);
    } catch (YamlException e) {
      assertThat(e).hasMessageStartingWith("t.yaml:").hasMessageNotContaining("\n");
      assertThat(e.problem().where().line()).isBetween(1, text.length() + 2);
    }
  }

  @Example
  void a_key_that_stands_twice_is_an_error_that_names_both_lines() {
    assertThatThrownBy(() -> YamlReader.read("t.yaml", "a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n"))
        .hasMessage("t.yaml:5: the key 'c' stands here a second time, first in line 3; remove one");
  }

  @Example
  void an_alias_shares_and_a_merge_copies_but_neither_grows_without_bound() {
    StringBuilder laughs = new StringBuilder("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 60; i++) {
      laughs.append("a" + i + ": &a" + i + " [");
      laughs.append(("*a" + (i - 1) + ", ").repeat(9)).append("]\n");
    }
    assertThat(YamlReader.read("t.yaml", laughs.toString())).hasSize(1);
    assertThatThrownBy(() -> YamlReader.read("t.yaml", "a: &a [*a]\n"))
        .hasMessage("t.yaml:1: the anchor contains an alias to itself; write the value out");
    YamlNode merged =
        YamlReader.read("t.yaml", "base: &b {x: 1, y: 2}\nown: {<<: *b, y: 3}\n").getFirst();
    assertThat(value(merged).toString()).isEqualTo("{base={x=1, y=2}, own={y=3, x=1}}");
  }

  @Example
  void nesting_without_end_is_refused() {
    assertThatThrownBy(() -> YamlReader.read("t.yaml", "[".repeat(100_000)))
        .isInstanceOf(YamlException.class);
    assertThatThrownBy(() -> YamlReader.read("t.yaml", "[".repeat(500) + "]".repeat(500)))
        .isInstanceOf(YamlException.class)
        .hasMessageContaining("nested deeper than 100 levels");
  }

  @Example
  void a_tab_is_named() {
    assertThatThrownBy(() -> YamlReader.read("t.yaml", "a:\n\tb: 1\n"))
        .hasMessageStartingWith("t.yaml:2: not valid YAML: ")
        .hasMessageContaining("indent with spaces, not tabs");
  }

  @Example
  void every_document_knows_its_number_and_lines() {
    List<YamlNode> documents =
        YamlReader.read("t.yaml", "---\na: 1\n---\n---\n# none\n---\nb: 2\n");
    assertThat(documents)
        .extracting(YamlNode::where)
        .containsExactly(new Location("t.yaml", 1, 2), new Location("t.yaml", 4, 7));
  }

  @Provide
  Arbitrary<Map<String, Object>> trees() {
    return Arbitraries.maps(texts(), values(3))
        .ofMaxSize(5)
        .map(tree -> (Map<String, Object>) new LinkedHashMap<>(tree))
        .withoutEdgeCases();
  }

  private static Arbitrary<String> texts() {
    return Arbitraries.oneOf(
        Arbitraries.strings().ofMaxLength(20),
        Arbitraries.strings()
            .withChars(" :#-?{}[],&*!|>'\"%@`\n\t\\~<=0189.yYnNeE")
            .ofMaxLength(12),
        Arbitraries.of(
            "yes",
            "No",
            "null",
            "~",
            "1",
            "0x1f",
            "1e3",
            ".inf",
            "<<",
            "---",
            "...",
            "- a",
            "a: b",
            "a #b",
            "true",
            "2026-11-21",
            "0644",
            "=",
            ""));
  }

  private static Arbitrary<Object> values(int depth) {
    Arbitrary<Object> leaf =
        Arbitraries.oneOf(
            texts().map(text -> (Object) text),
            Arbitraries.longs().map(number -> (Object) number),
            Arbitraries.of(true, false).map(flag -> (Object) flag));
    if (depth == 0) {
      return leaf;
    }
    return Arbitraries.oneOf(
        leaf,
        values(depth - 1).list().ofMaxSize(4).map(list -> (Object) list),
        Arbitraries.maps(texts(), values(depth - 1))
            .ofMaxSize(4)
            .map(map -> (Object) new LinkedHashMap<>(map)));
  }

  @Provide
  Arbitrary<String> nearlyYaml() {
    return Arbitraries.oneOf(
        Arbitraries.strings().ofMaxLength(60),
        Arbitraries.of(
                "a: ",
                "b:\n",
                "  ",
                "- ",
                "\n",
                "{",
                "}",
                "[",
                "]",
                "'",
                "\"",
                "|\n",
                ">-\n",
                "&x ",
                "*x",
                "!!int ",
                "!t ",
                "---\n",
                "...\n",
                "? ",
                "#",
                "\t",
                "%YAML 1.1\n",
                "<<: ",
                "1",
                "null",
                ",",
                "\\",
                "\u0000",
                "\uFEFF",
                "\r")
            .list()
            .ofMaxSize(25)
            .map(parts -> String.join("", parts)));
  }

  private static Object value(YamlNode node) {
    return switch (node) {
      case YamlNode.Mapping mapping -> {
        Map<String, Object> map = new LinkedHashMap<>();
        mapping.entries().forEach((key, entry) -> map.put(key, value(entry.value())));
        yield map;
      }
      case YamlNode.Sequence sequence -> {
        List<Object> list = new ArrayList<>();
        sequence.items().forEach(item -> list.add(value(item)));
        yield list;
      }
      case YamlNode.Scalar scalar ->
          switch (scalar.type()) {
            case INTEGER -> (Object) Long.parseLong(scalar.text());
            case BOOLEAN -> Boolean.parseBoolean(scalar.text());
            default -> scalar.text();
          };
    };
  }
}

package dev.weir.cli;

import dev.weir.api.json.Json;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.snakeyaml.engine.v2.api.Dump;
import org.snakeyaml.engine.v2.api.DumpSettings;
import org.snakeyaml.engine.v2.common.FlowStyle;

/** JSON values as block YAML. */
final class Yaml {
  private Yaml() {}

  static String text(Json json) {
    DumpSettings settings =
        DumpSettings.builder().setDefaultFlowStyle(FlowStyle.BLOCK).setIndicatorIndent(0).build();
    return new Dump(settings).dumpToString(plain(json));
  }

  private static @Nullable Object plain(Json json) {
    return switch (json) {
      case Json.Text text -> text.value();
      case Json.Bool bool -> bool.value();
      case Json.Nothing _ -> null;
      case Json.Num number ->
          number.value() == Math.rint(number.value())
              ? (Object) (long) number.value()
              : number.value();
      case Json.Array array -> list(array);
      case Json.Fields object -> {
        Map<String, @Nullable Object> fields = new LinkedHashMap<>();
        object.fields().forEach((name, value) -> fields.put(name, plain(value)));
        yield fields;
      }
    };
  }

  private static List<@Nullable Object> list(Json.Array array) {
    List<@Nullable Object> values = new java.util.ArrayList<>();
    array.values().forEach(value -> values.add(plain(value)));
    return values;
  }
}

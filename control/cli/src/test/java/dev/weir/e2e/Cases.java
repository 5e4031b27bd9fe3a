package dev.weir.e2e;

import dev.weir.api.json.Json;
import java.util.LinkedHashMap;
import java.util.Map;

/** What peer.py is asked to do. */
final class Cases {
  private Cases() {}

  static Json of(String name, String doing, String host, int port, String family) {
    return Json.object()
        .with("name", name)
        .with("do", doing)
        .with("host", host)
        .with("port", port)
        .with("family", family)
        .build();
  }

  static Json of(String doing, String host, int port) {
    return of(doing, doing, host, port, host.contains(":") ? "v6" : "v4");
  }

  static Json with(Json theCase, String field, double value) {
    return with(theCase, field, Json.of(value));
  }

  static Json with(Json theCase, String field, Json value) {
    Map<String, Json> fields = new LinkedHashMap<>(theCase.fieldsByName());
    fields.put(field, value);
    return new Json.Fields(fields);
  }
}

package dev.weir.e2e;

import dev.weir.api.json.Json;
import java.util.Map;

/** What peer.py said, by the cases' names. */
record Answers(Map<String, Json> byName, String all) {

  Json get(String name) {
    Json answer = byName.get(name);
    if (answer == null) {
      throw new AssertionError("no answer to %s in%n%s".formatted(name, all));
    }
    return answer;
  }
}

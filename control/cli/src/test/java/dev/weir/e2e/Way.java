package dev.weir.e2e;

import dev.weir.api.json.Json;

/** The ways that bytes can take between two pods of the lab. */
enum Way {
  DIRECT("in-a", "in-b", "direct"),
  JOINED("joined-a", "joined-b", "joined"),
  TUNNEL_ON_ONE_NODE("off-a", "in-b", "tunnel"),
  TUNNEL_BETWEEN_NODES("in-a", "in-c", "tunnel"),
  INTO_THE_MESH("out-a", "in-b", "agent"),
  OUT_OF_THE_MESH("in-a", "out-c", "agent"),
  IN_POD_HOPS_JOINED("joined-a", "in-c", "tunnel");

  final String client;
  final String server;
  final String path;

  Way(String client, String server, String path) {
    this.client = client;
    this.server = server;
    this.path = path;
  }

  Json does(String what) {
    return Cases.of(what, server, 80);
  }

  /**
   * The kernel's ways are taken once the agent has decided; so the first connections may not go
   * them yet.
   */
  void settle(Lab lab) {
    if (path.equals("agent") || path.equals("tunnel")) {
      return;
    }
    long before = lab.opened("node-1", client, server, path);
    Waiting.until(
        "a connection that goes " + path,
        () -> {
          lab.one(client, does("talk"));
          return lab.opened("node-1", client, server, path) > before;
        });
  }
}

package dev.weir.bench;

import java.io.IOException;
import java.util.List;
import java.util.Map;

/**
 * Two pods of the lab that call each other by address: with no mesh, or through their nodes'
 * agents.
 *
 * @param path what {@code weir edges} must call the way of their connections; {@code none}: no mesh
 */
record LabWay(Weir weir, String title, String pod, String host, String path) implements Way {
  private static final String NO_MESH = "none";

  @Override
  public String portCore0() {
    return "7000";
  }

  @Override
  public String portFree() {
    return "7002";
  }

  @Override
  public List<ProxyProcess> proxies() throws IOException {
    return path.equals(NO_MESH) ? List.of() : Status.read(weir).agents();
  }

  @Override
  public void restart() throws IOException {
    Background.both(() -> agent("node-1", "restart"), () -> agent("node-2", "restart"));
  }

  /**
   * Has every agent replaced by one that takes over from it: one after the other, as in a rollout.
   */
  void upgrade() throws IOException {
    for (String node : List.of("node-1", "node-2")) {
      String _ = agent(node, "upgrade");
    }
  }

  private String agent(String node, String action) throws IOException {
    return weir.run("lab", "agent", node, action, "--name", weir.lab());
  }

  @Override
  public Passage passage() throws IOException {
    Paths before = Paths.read(weir);
    return () -> Paths.read(weir).assertOnly(before, path, title);
  }

  @Override
  public Passage passageOfNewProxies() {
    return () -> Paths.read(weir).assertOnly(new Paths(Map.of()), path, title);
  }
}

package dev.weir.bench;

import java.io.IOException;
import java.util.List;

/** One way from a client pod to a server pod on another node. */
sealed interface Way permits LabWay, EnvoyPair {
  /** The variant's name in the figures. */
  String title();

  /** The client's pod. */
  String pod();

  /** What the client connects to. */
  String host();

  /** The server's process that is pinned to core 0. */
  String portCore0();

  /** The server's process that runs where it likes. */
  String portFree();

  /** The client's side first; none where there is no proxy between. */
  List<ProxyProcess> proxies() throws IOException;

  /** Ends every proxy and starts it anew; all of them are ready on return. */
  void restart() throws IOException;

  /** What passed so far; ask it later whether what came after went this way and no other. */
  Passage passage() throws IOException;

  /** As {@link #passage}, of proxies that have just been restarted: nothing passed so far. */
  Passage passageOfNewProxies() throws IOException;

  interface Passage {
    /** Throws when a connection since then went another way than this one, or none went at all. */
    void assertOnly() throws IOException;
  }
}

package dev.weir.lab;

import dev.weir.api.json.Json;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/** The nodes' agents: their arguments, and how they come, go and hand over. */
final class Agents {
  private static final Duration TOKEN_LIFE = Duration.ofHours(12);

  /** A change of roots in a lab is watched by somebody, and a request costs a few milliseconds. */
  private static final Duration ROOT_CHECK = Duration.ofSeconds(30);

  private final Desk desk;
  private final Paths paths;
  private final Path cgroups;
  private final Prober prober;
  private final Tokens tokens;
  private final Path authority;
  private final LabNodes nodes;
  private final Enrolments enrolments;
  private final Waiters waiters;
  private final Orders orders;
  private final Runnable changed;
  private List<String> moreArguments = List.of();

  /**
   * @param authority the folder of the control plane's CA
   */
  Agents(
      Desk desk,
      Paths paths,
      Path cgroups,
      Prober prober,
      Tokens tokens,
      Path authority,
      LabNodes nodes,
      Enrolments enrolments,
      Waiters waiters,
      Orders orders,
      Runnable changed) {
    this.desk = desk;
    this.paths = paths;
    this.cgroups = cgroups;
    this.prober = prober;
    this.tokens = tokens;
    this.authority = authority;
    this.nodes = nodes;
    this.enrolments = enrolments;
    this.waiters = waiters;
    this.orders = orders;
    this.changed = changed;
  }

  /** For every agent from now on, besides the lab's own. Desk only. */
  void moreArguments(List<String> flags) {
    moreArguments = List.copyOf(flags);
  }

  /** On the thread of whoever says it. */
  void order(LabNode node, String action) {
    NodeKit kit = desk.ask(() -> nodes.kit(node));
    String title = "agent of " + node.name();
    String log = "agent/" + node.name();
    switch (action) {
      case "start" -> orders.start(kit::currentAgent, title, log);
      case "stop" -> orders.end(kit::currentAgent, title, false);
      case "kill" -> orders.end(kit::currentAgent, title, true);
      case "restart" -> orders.restart(kit::currentAgent, title, log);
      case "upgrade" -> upgrade(node, kit);
      default ->
          throw new LabException(
              "agent " + action + " (expected: start, stop, kill, restart or upgrade)");
    }
  }

  /**
   * The new one runs beside the old one until it is in charge; then the old one may go. It finishes
   * what it has for as long as its {@code --drain} says, and nobody waits for that.
   */
  private void upgrade(LabNode node, NodeKit kit) {
    NodeKit.Former old =
        desk.ask(() -> {
          if (kit.currentAgent().state() != MeshProcess.State.READY) {
            throw new LabException(
                "the agent of "
                    + node.name()
                    + " is not ready, so there is nothing to take over from; use start");
          }
          NodeKit.Former standing = new NodeKit.Former(kit.currentAgent(), kit.adminSocket);
          kit.formers.add(standing);
          kit.agent = newAgent(node, kit, true);
          kit.currentAgent().start();
          return standing;
        });
    try {
      waiters.await(
          () -> kit.currentAgent().state() != MeshProcess.State.STARTING,
          Orders.STARTS,
          () -> "it is not ready");
      desk.ask(() -> {
        if (kit.currentAgent().state() != MeshProcess.State.READY) {
          throw new LabException("it ended at once");
        }
        putInCharge(node, kit);
        old.process().signal(false);
        return node.name();
      });
    } catch (LabException e) {
      desk.ask(() -> {
        kit.currentAgent().signal(true);
        kit.formers.remove(old);
        kit.agent = old.process();
        kit.adminSocket = old.adminSocket();
        return node.name();
      });
      throw new LabException(
          "the new agent of "
              + node.name()
              + " did not take over: "
              + e.getMessage()
              + "; the old one stays; see `weir lab logs agent/"
              + node.name()
              + "`",
          e);
    }
  }

  // From here on: the desk.

  /** Starts a node's first one. */
  void begin(LabNode node) {
    Path folder = paths.node(node.name());
    try {
      Files.createDirectories(folder);
    } catch (IOException e) {
      throw new LabException(folder + ": cannot be made: " + e.getMessage(), e);
    }
    NodeKit kit = nodes.kit(node);
    kit.enroller =
        new Enroller(
            desk, node.name(), folder.resolve("zds.sock"), () -> enrolments.on(node), enrolments);
    keepToken(node);
    MeshProcess agent = newAgent(node, kit, false);
    kit.agent = agent;
    putInCharge(node, kit);
    agent.start();
  }

  private Path token(LabNode node) {
    return paths.node(node.name()).resolve("token");
  }

  /** As a kubelet: anew when a fifth of its life is left. */
  private void keepToken(LabNode node) {
    PrivateFile.write(token(node), tokens.agentToken(node.name(), TOKEN_LIFE.toSeconds()));
    desk.after(TOKEN_LIFE.multipliedBy(4).dividedBy(5), () -> keepToken(node));
  }

  private MeshProcess newAgent(LabNode node, NodeKit kit, boolean takesOver) {
    Path folder = paths.node(node.name());
    Path nodeCgroup = cgroups.resolve(paths.nodeName(node.name()));
    // Two agents cannot listen on one path; admin.sock is a link to the one that is in charge.
    String adminSocket = "admin-" + ++kit.agents + ".sock";
    Path socket = folder.resolve(adminSocket);
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "agent",
                "--node",
                node.name(),
                "--zds",
                folder.resolve("zds.sock").toString(),
                "--xds",
                Addressing.CONTROL_V4 + ":" + Addressing.CONTROL_PORT,
                "--ca",
                Addressing.CONTROL_V4 + ":" + Addressing.CONTROL_PORT,
                "--ca-root",
                authority.resolve("roots.pem").toString(),
                "--token",
                token(node).toString(),
                "--root-check",
                Long.toString(ROOT_CHECK.toSeconds()),
                "--cgroup",
                nodeCgroup.toString(),
                "--bpffs",
                paths.bpffs(node.name()).toString(),
                "--node-ip",
                Addressing.nodeV4(node.number()) + "," + Addressing.nodeV6(node.number()),
                "--admin-socket",
                socket.toString(),
                "--dns-upstream",
                Addressing.DNS.getHostAddress() + ":53"));
    arguments.addAll(moreArguments);
    kit.adminSocket = adminSocket;
    String netns = paths.nodeName(node.name());
    return new MeshProcess(
        desk,
        "agent of " + node.name(),
        nodeCgroup.resolve("agent"),
        netns,
        arguments,
        folder.resolve("agent.log"),
        // While two run, either may answer on the readiness port; the socket is the new one's own.
        () -> takesOver ? isInCharge(socket) : prober.answers(netns, 15021, "/healthz/ready"),
        () -> {
          kit.formers.removeIf(former -> former.process().state() == MeshProcess.State.STOPPED);
          MeshProcess.note(kit.agent, folder.resolve("agent.pid"));
          changed.run();
          learnVersion(folder.resolve(kit.adminSocket), kit);
        });
  }

  private static boolean isInCharge(Path socket) {
    if (!Files.exists(socket)) {
      return false;
    }
    Json status = AdminDoor.get(socket, "/status");
    return status.get("ready").isTrue() && status.get("inCharge").isTrue();
  }

  private void putInCharge(LabNode node, NodeKit kit) {
    Path link = paths.node(node.name()).resolve("admin.sock");
    Path fresh = link.resolveSibling(".admin.sock");
    try {
      Files.deleteIfExists(fresh);
      Files.createSymbolicLink(fresh, Path.of(kit.adminSocket));
      Files.move(fresh, link, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      throw new LabException(link + ": cannot be made: " + e.getMessage(), e);
    }
  }

  private void learnVersion(Path socket, NodeKit kit) {
    if (kit.currentAgent().state() != MeshProcess.State.READY) {
      return;
    }
    Thread.ofVirtual()
        .start(() -> {
          String version = AdminDoor.get(socket, "/status").get("version").text();
          desk.post(() -> kit.version = version);
        });
  }
}

package dev.weir.lab;

import java.nio.file.Path;

/**
 * Where things of one lab lie, and how they are named. {@code weir lab exec}, agents and users find
 * them by this page alone.
 *
 * @param lab the lab's name
 */
public record Paths(String lab) {
  public static final Path HOME = Path.of("/run/weir-lab");
  static final Path NAMESPACES = Path.of("/run/netns");
  static final Path BPFFS = Path.of("/sys/fs/bpf");

  public Path folder() {
    return HOME.resolve(lab);
  }

  public Path socket() {
    return folder().resolve("lab.sock");
  }

  public Path pid() {
    return folder().resolve("lab.pid");
  }

  public Path log() {
    return folder().resolve("lab.log");
  }

  public Path state() {
    return folder().resolve("state");
  }

  public Path control() {
    return folder().resolve("control");
  }

  public Path node(String node) {
    return folder().resolve("nodes").resolve(node);
  }

  /**
   * Holds {@code pid}, {@code cgroup}, {@code env}, and a {@code CONTAINER.log} for each container.
   */
  public Path pod(String namespace, String pod) {
    return folder().resolve("pods").resolve(namespace).resolve(pod);
  }

  /** What every network namespace, cgroup and pin of the lab begins with. */
  String prefix() {
    return "weir-" + lab + "-";
  }

  String nodeName(String node) {
    return prefix() + node;
  }

  /** A dot cannot stand in a namespace's name, so no two pods share this name. */
  public String podNetns(String namespace, String pod) {
    return prefix() + namespace + "." + pod;
  }

  String controlName() {
    return prefix() + "control";
  }

  String fabricName() {
    return prefix() + "fabric";
  }

  static Path netns(String name) {
    return NAMESPACES.resolve(name);
  }

  Path bpffs(String node) {
    return BPFFS.resolve(nodeName(node));
  }
}

package dev.weir.ffi;

import java.nio.file.Path;
import java.util.function.Supplier;

/**
 * Network and mount namespaces. A namespace belongs to a thread, so all of this must run on
 * platform threads.
 */
public interface Namespaces {
  /**
   * A descriptor of a namespace file such as {@code /run/netns/x} or {@code /proc/1/ns/net}; the
   * caller closes it.
   */
  Fd open(Path path);

  /** The calling thread's network namespace. */
  Fd current();

  /** Moves the calling thread for good. kind is CLONE_NEWNET, CLONE_NEWNS … */
  void enter(Fd namespace, int kind);

  /**
   * Runs work inside another network namespace and comes back. If the way back fails the process is
   * halted: a thread in the wrong namespace would send traffic from the wrong pod.
   */
  <T> T inNetwork(Fd namespace, Supplier<T> work);

  /** A new, empty network namespace, its loopback up; nothing but the descriptor holds it. */
  Fd newNetwork();

  /** Gives the calling thread a mount namespace of its own, private to it. */
  void unshareMounts();

  void mount(String source, Path target, String type, long flags, String data);

  void unmount(Path target, int flags);

  /** SO_NETNS_COOKIE of a namespace: what BPF programs know it by. */
  long cookie(Fd networkNamespace);

  /**
   * The inode of a namespace file: what tells two descriptors of one namespace apart from two
   * namespaces.
   */
  long inode(Fd namespace);
}

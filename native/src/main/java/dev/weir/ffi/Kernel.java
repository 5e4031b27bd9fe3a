package dev.weir.ffi;

/** The door: the kernel as Weir needs it. Implementations are stateless and safe for any thread. */
public interface Kernel {
  /** The binding that {@code -Dweir.ffi} names, {@code ffm} unless told; one instance a process. */
  static Kernel instance() {
    return Binding.CHOSEN;
  }

  /** {@code ffm} or {@code jnr}. */
  String binding();

  Bpf bpf();

  Namespaces namespaces();

  Sockets sockets();

  Netlink netlink();

  FilePages filePages();

  Threads threads();
}

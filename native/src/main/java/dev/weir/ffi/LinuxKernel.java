package dev.weir.ffi;

/** The doors over one binding. */
final class LinuxKernel implements Kernel {
  private final Calls calls;
  private final Bpf bpf;
  private final Namespaces namespaces;
  private final Sockets sockets;
  private final Netlink netlink;
  private final FilePages filePages;
  private final Threads threads;

  LinuxKernel(Calls calls) {
    Memory memory = new Memory(calls);
    this.calls = calls;
    this.netlink = new LinuxNetlink(calls, memory);
    this.namespaces = new LinuxNamespaces(calls, memory, netlink);
    this.sockets = new LinuxSockets(calls, memory);
    this.bpf = new Libbpf(calls, memory);
    this.filePages = new LinuxFilePages(calls);
    this.threads = new LinuxThreads(calls, memory);
  }

  @Override
  public String binding() {
    return calls.name();
  }

  @Override
  public Bpf bpf() {
    return bpf;
  }

  @Override
  public Namespaces namespaces() {
    return namespaces;
  }

  @Override
  public Sockets sockets() {
    return sockets;
  }

  @Override
  public Netlink netlink() {
    return netlink;
  }

  @Override
  public FilePages filePages() {
    return filePages;
  }

  @Override
  public Threads threads() {
    return threads;
  }
}

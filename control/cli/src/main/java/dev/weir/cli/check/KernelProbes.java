package dev.weir.cli.check;

import dev.weir.ffi.Bpf;
import dev.weir.ffi.Fd;
import dev.weir.ffi.Kernel;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Collectors;

/** What capture needs of the kernel. */
final class KernelProbes {
  private static final int SOCK_ADDR = 18;
  private static final int SOCK_OPS = 13;
  private static final int SK_MSG = 16;
  private static final int SCHED_CLS = 3;

  private static final int AF_INET = 2;
  private static final int SOCK_STREAM = 1;
  private static final int SOL_SOCKET = 1;
  private static final int SO_MARK = 36;
  private static final int SOL_IP = 0;
  private static final int IP_TRANSPARENT = 19;

  /** Linux 5.11 charges BPF memory to the cgroup; before, to RLIMIT_MEMLOCK. */
  private static final int[] CHARGED_TO_CGROUP = {5, 11};

  private KernelProbes() {}

  static List<Probe> all() {
    List<Probe> probes = new ArrayList<>();
    probes.add(
        required(
            "WEIR-K001",
            "foundations",
            "Linux 6.6 or newer",
            "run a newer kernel: tcx links, which hold the programs of a pod's interfaces, came with 6.6",
            KernelProbes::release));
    probes.add(
        required(
            "WEIR-K002",
            "foundations",
            "BTF of the kernel",
            "run a kernel built with CONFIG_DEBUG_INFO_BTF=y",
            KernelProbes::btf));
    probes.add(
        required(
            "WEIR-K003",
            "foundations",
            "cgroup2",
            "mount it: mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 none /sys/fs/cgroup/unified",
            () -> Finding.ok(Mounts.cgroup2().toString())));
    probes.add(
        required(
            "WEIR-K004",
            "foundations",
            "bpffs can be mounted",
            "run as root outside a container, on a kernel with CONFIG_BPF_SYSCALL=y",
            KernelProbes::bpffs));
    probes.add(
        required(
            "WEIR-K005",
            "foundations",
            "memory for BPF maps",
            "raise the limit: ulimit -l unlimited (LimitMEMLOCK=infinity in a unit)",
            KernelProbes::memlock));
    probes.add(
        required(
            "WEIR-K006",
            "foundations",
            "network namespaces with cookies",
            "run as root, on a kernel of 5.12 or newer with CONFIG_NET_NS=y",
            KernelProbes::netnsCookie));
    probes.add(
        required(
            "WEIR-K007",
            "foundations",
            "kernel memory readable from BPF (no lockdown)",
            "boot with lockdown=integrity or none: joining reads socket fields",
            KernelProbes::lockdown));

    String sockAddr = "run a kernel with CONFIG_CGROUP_BPF=y, 5.8 or newer";
    int number = 10;
    for (Hook hook :
        List.of(
            Hook.CONNECT4,
            Hook.CONNECT6,
            Hook.SENDMSG4,
            Hook.SENDMSG6,
            Hook.RECVMSG4,
            Hook.RECVMSG6,
            Hook.GETPEERNAME4,
            Hook.GETPEERNAME6)) {
      probes.add(
          required(
              "WEIR-K0" + number++,
              "hooks",
              "cgroup/" + hook.name().toLowerCase(java.util.Locale.ROOT),
              sockAddr,
              () -> cgroupHook(hook)));
    }
    probes.add(
        required(
            "WEIR-K018",
            "hooks",
            "sockops",
            "run a kernel with CONFIG_CGROUP_BPF=y",
            () -> cgroupHook(Hook.SOCKOPS)));
    probes.add(
        optional(
            "WEIR-K019",
            "hooks",
            "sk_msg",
            "without it no pods are joined: they talk by the direct path (CONFIG_BPF_STREAM_PARSER=y)",
            () -> loaded(Hook.SK_MSG)));
    probes.add(
        required(
            "WEIR-K020",
            "hooks",
            "sched_cls",
            "run a kernel with CONFIG_NET_CLS_BPF=y",
            () -> loaded(Hook.TCX_INGRESS)));
    probes.add(
        required(
            "WEIR-K021",
            "hooks",
            "tcx ingress link",
            "run Linux 6.6 or newer",
            () -> tcxHook(Hook.TCX_INGRESS)));
    probes.add(
        required(
            "WEIR-K022",
            "hooks",
            "tcx egress link",
            "run Linux 6.6 or newer",
            () -> tcxHook(Hook.TCX_EGRESS)));

    probes.add(helper("WEIR-K030", "bpf_sk_assign", 124, "5.7", Map.of("sched_cls", SCHED_CLS)));
    probes.add(
        helper(
            "WEIR-K031",
            "bpf_get_netns_cookie",
            122,
            "5.15",
            Map.of("sock_addr", SOCK_ADDR, "sockops", SOCK_OPS)));
    probes.add(helper("WEIR-K032", "bpf_set_retval", 187, "5.18", Map.of("sock_addr", SOCK_ADDR)));
    probes.add(
        helper(
            "WEIR-K033",
            "bpf_sk_lookup_tcp",
            84,
            "4.20",
            Map.of("sock_addr", SOCK_ADDR, "sched_cls", SCHED_CLS)));
    probes.add(
        helper(
            "WEIR-K034",
            "bpf_sk_storage_get",
            107,
            "5.8",
            Map.of("sock_addr", SOCK_ADDR, "sockops", SOCK_OPS)));
    probes.add(
        helper(
            "WEIR-K035",
            "bpf_ringbuf_reserve",
            131,
            "5.8",
            Map.of("sockops", SOCK_OPS, "sched_cls", SCHED_CLS)));
    probes.add(joining("WEIR-K036", "bpf_probe_read_kernel", 113, Map.of("sk_msg", SK_MSG)));
    probes.add(joining("WEIR-K037", "bpf_msg_redirect_hash", 71, Map.of("sk_msg", SK_MSG)));
    probes.add(joining("WEIR-K038", "bpf_sock_hash_update", 70, Map.of("sockops", SOCK_OPS)));
    probes.add(joining("WEIR-K039", "bpf_skc_to_tcp_sock", 137, Map.of("sockops", SOCK_OPS)));

    probes.add(map("WEIR-K050", "hash", 1, true));
    probes.add(map("WEIR-K051", "array", 2, true));
    probes.add(map("WEIR-K052", "per-CPU hash", 5, true));
    probes.add(map("WEIR-K053", "LRU hash", 9, true));
    probes.add(map("WEIR-K054", "LPM trie", 11, true));
    probes.add(map("WEIR-K055", "socket storage", 24, true));
    probes.add(map("WEIR-K056", "ring buffer", 27, true));
    probes.add(map("WEIR-K057", "SOCKHASH", 18, false));

    probes.add(
        required(
            "WEIR-K070",
            "sockets",
            "IP_TRANSPARENT",
            "run as root (CAP_NET_ADMIN): the agent delivers with the client's address",
            () -> option(SOL_IP, IP_TRANSPARENT, 1)));
    probes.add(
        required(
            "WEIR-K071",
            "sockets",
            "SO_MARK",
            "run as root (CAP_NET_ADMIN): the agent's sockets are told apart by their mark",
            () -> option(SOL_SOCKET, SO_MARK, 0x539)));
    probes.add(
        required(
            "WEIR-K072",
            "sockets",
            "tcp_fwmark_accept",
            "run a kernel with CONFIG_NET_NS=y and IPv4 sysctls in namespaces",
            KernelProbes::fwmarkAccept));
    probes.add(
        required(
            "WEIR-K073",
            "sockets",
            "policy routing by mark",
            "run a kernel with CONFIG_IP_MULTIPLE_TABLES=y and CONFIG_IPV6_MULTIPLE_TABLES=y",
            KernelProbes::markRules));
    probes.add(
        required(
            "WEIR-K074",
            "sockets",
            "SOCK_DESTROY",
            "run a kernel with CONFIG_INET_DIAG_DESTROY=y: flows that lost their right are cut by it",
            KernelProbes::sockDestroy));
    probes.add(
        optional(
            "WEIR-K075",
            "sockets",
            "io_uring",
            "the agent uses epoll, its equal here; to allow io_uring: sysctl kernel.io_uring_disabled=0",
            KernelProbes::ioUring));
    probes.add(
        optional(
            "WEIR-K076",
            "sockets",
            "IPv6",
            "IPv6 addresses of pods do not work: sysctl net.ipv6.conf.all.disable_ipv6=0",
            KernelProbes::ipv6));
    probes.add(
        optional(
            "WEIR-K080",
            "limits",
            "UDP",
            "",
            () ->
                Finding.note(
                    "UDP other than DNS passes Weir by: not captured, not encrypted, not counted")));
    return probes;
  }

  private static Probe required(
      String code, String group, String name, String hint, Probe.Question question) {
    return new Probe(code, group, name, true, hint, question);
  }

  private static Probe optional(
      String code, String group, String name, String hint, Probe.Question question) {
    return new Probe(code, group, name, false, hint, question);
  }

  private static Probe helper(
      String code, String name, int helper, String since, Map<String, Integer> programTypes) {
    return required(
        code,
        "helpers",
        name,
        "run Linux " + since + " or newer",
        () -> helperIn(helper, programTypes));
  }

  private static Probe joining(
      String code, String name, int helper, Map<String, Integer> programTypes) {
    return optional(
        code,
        "helpers",
        name,
        "without it no pods are joined: they talk by the direct path",
        () -> helperIn(helper, programTypes));
  }

  private static Probe map(String code, String name, int type, boolean required) {
    return new Probe(
        code,
        "maps",
        name,
        required,
        required
            ? "run a newer kernel"
            : "without it no pods are joined: they talk by the direct path",
        () ->
            Kernel.instance().bpf().mapTypeAvailable(type)
                ? Finding.ok("")
                : Finding.missing("the kernel does not make such a map"));
  }

  private static Finding helperIn(int helper, Map<String, Integer> programTypes) {
    Bpf bpf = Kernel.instance().bpf();
    List<String> without =
        programTypes.entrySet().stream()
            .filter(type -> !bpf.helperAvailable(type.getValue(), helper))
            .map(Map.Entry::getKey)
            .sorted()
            .toList();
    return without.isEmpty()
        ? Finding.ok(
            "in " + programTypes.keySet().stream().sorted().collect(Collectors.joining(", ")))
        : Finding.missing("not callable in " + String.join(", ", without));
  }

  private static Finding release() throws IOException {
    String release = Files.readString(Path.of("/proc/sys/kernel/osrelease")).strip();
    return atLeast(release, 6, 6) ? Finding.ok(release) : Finding.missing(release);
  }

  static boolean atLeast(String release, int major, int minor) {
    int[] numbers =
        Arrays.stream(release.split("[.-]", 3))
            .limit(2)
            .mapToInt(KernelProbes::leadingNumber)
            .toArray();
    return numbers.length == 2
        && (numbers[0] > major || (numbers[0] == major && numbers[1] >= minor));
  }

  private static int leadingNumber(String text) {
    String digits = text.replaceAll("\\D.*", "");
    return digits.isEmpty() ? 0 : Integer.parseInt(digits);
  }

  private static Finding btf() throws IOException {
    Path btf = Path.of("/sys/kernel/btf/vmlinux");
    return Files.isReadable(btf)
        ? Finding.ok(btf + ", " + (Files.size(btf) >> 10) + " KiB")
        : Finding.missing("no " + btf);
  }

  /**
   * In a mount namespace of its own where none is mounted, so that the machine sees nothing of it.
   */
  private static Finding bpffs() throws IOException {
    var mounted = Mounts.first("bpf");
    if (mounted.isPresent()) {
      return Finding.ok("mounted at " + mounted.get());
    }
    Path folder = Files.createTempDirectory("weir-check-");
    try {
      onThreadOfItsOwn(() -> {
        Kernel.instance().namespaces().unshareMounts();
        Kernel.instance().namespaces().mount("bpf", folder, "bpf", 0, "");
      });
    } finally {
      Files.delete(folder);
    }
    return Finding.ok("not mounted yet; mounting works");
  }

  private static void onThreadOfItsOwn(Runnable work) {
    AtomicReference<RuntimeException> failure = new AtomicReference<>();
    Thread thread =
        Thread.ofPlatform()
            .start(() -> {
              try {
                work.run();
              } catch (RuntimeException e) {
                failure.set(e);
              }
            });
    try {
      thread.join();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted", e);
    }
    RuntimeException thrown = failure.get();
    if (thrown != null) {
      throw thrown;
    }
  }

  private static Finding memlock() throws IOException {
    String release = Files.readString(Path.of("/proc/sys/kernel/osrelease")).strip();
    if (atLeast(release, CHARGED_TO_CGROUP[0], CHARGED_TO_CGROUP[1])) {
      return Finding.ok("charged to cgroups, not to RLIMIT_MEMLOCK");
    }
    String limit =
        Files.readAllLines(Path.of("/proc/self/limits")).stream()
            .filter(line -> line.startsWith("Max locked memory"))
            .map(line -> line.substring("Max locked memory".length()).strip().replaceAll(" .*", ""))
            .findFirst()
            .orElse("unknown");
    return limit.equals("unlimited")
        ? Finding.ok("RLIMIT_MEMLOCK unlimited")
        : Finding.missing("RLIMIT_MEMLOCK " + limit);
  }

  private static Finding netnsCookie() {
    try (Fd network = Kernel.instance().namespaces().newNetwork()) {
      long cookie = Kernel.instance().namespaces().cookie(network);
      return cookie == 0
          ? Finding.missing("SO_NETNS_COOKIE is 0")
          : Finding.ok("made one, cookie " + cookie);
    }
  }

  private static Finding lockdown() throws IOException {
    Path file = Path.of("/sys/kernel/security/lockdown");
    if (!Files.isReadable(file)) {
      return Finding.ok("no lockdown");
    }
    String state = Files.readString(file).strip();
    return state.contains("[confidentiality]") ? Finding.missing(state) : Finding.ok(state);
  }

  private static Finding cgroupHook(Hook hook) throws IOException {
    Throwaway.attachToCgroup(hook);
    return Finding.ok("loaded, attached, detached");
  }

  private static Finding tcxHook(Hook hook) {
    Throwaway.attachToInterface(hook);
    return Finding.ok("loaded, attached, detached");
  }

  private static Finding loaded(Hook hook) {
    Throwaway.program(hook).close();
    return Finding.ok("loaded");
  }

  private static Finding option(int level, int name, int value) {
    return Throwaway.inNetwork(() -> {
      try (Fd socket = Kernel.instance().sockets().open(AF_INET, SOCK_STREAM, 0)) {
        Kernel.instance().sockets().setOption(socket, level, name, value);
        return Finding.ok("set on a socket");
      }
    });
  }

  private static Finding fwmarkAccept() {
    return Throwaway.inNetwork(() ->
        Files.isWritable(Path.of("/proc/sys/net/ipv4/tcp_fwmark_accept"))
            ? Finding.ok("writable in a namespace")
            : Finding.missing("no /proc/sys/net/ipv4/tcp_fwmark_accept to write"));
  }

  private static Finding markRules() {
    int table = 15_006;
    int mark = 0x53a;
    int preference = 100;
    return Throwaway.inNetwork(() -> {
      for (int family : new int[] {AF_INET, 10}) {
        Kernel.instance().netlink().addMarkRule(family, mark, table, preference);
        Kernel.instance().netlink().addLocalDefaultRoute(family, table);
      }
      return Finding.ok("rule and local route added, both families");
    });
  }

  /** A connection over the loopback of a namespace of its own, cut from outside. */
  private static Finding sockDestroy() {
    return Throwaway.inNetwork(() -> {
      try (ServerSocket listener = new ServerSocket()) {
        listener.bind(
            new InetSocketAddress(InetAddress.getByAddress(new byte[] {127, 0, 0, 1}), 0));
        try (Socket client = new Socket()) {
          client.connect(listener.getLocalSocketAddress(), 1_000);
          int port = client.getLocalPort();
          int cut = Kernel.instance().netlink().destroyTcp(socket -> socket.localPort() == port);
          return cut == 1
              ? Finding.ok("cut a connection")
              : Finding.missing("cut " + cut + " connections (expected: 1)");
        }
      } catch (IOException e) {
        return Finding.missing(String.valueOf(e.getMessage()));
      }
    });
  }

  private static Finding ioUring() throws IOException {
    Path file = Path.of("/proc/sys/kernel/io_uring_disabled");
    if (!Files.isReadable(file)) {
      return Finding.limited("no " + file + ": Linux 6.6 and newer tell there");
    }
    String disabled = Files.readString(file).strip();
    return disabled.equals("0")
        ? Finding.ok("kernel.io_uring_disabled = 0")
        : Finding.limited("kernel.io_uring_disabled = " + disabled);
  }

  private static Finding ipv6() throws IOException {
    Path file = Path.of("/proc/sys/net/ipv6/conf/all/disable_ipv6");
    if (!Files.isReadable(file)) {
      return Finding.limited("no IPv6 in this kernel");
    }
    return Files.readString(file).strip().equals("0")
        ? Finding.ok("on")
        : Finding.limited("net.ipv6.conf.all.disable_ipv6 = 1");
  }
}

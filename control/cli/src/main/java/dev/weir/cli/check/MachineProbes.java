package dev.weir.cli.check;

import dev.weir.ffi.Kernel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;

/** What Weir needs of the machine besides its kernel. */
final class MachineProbes {
  /** CAP_NET_ADMIN, CAP_SYS_ADMIN, CAP_PERFMON, CAP_BPF as in linux/capability.h. */
  private static final int[] CAPABILITIES = {12, 21, 38, 39};

  private static final long LAB_BYTES = 256L << 20;
  private static final long LAB_MEMORY_KIB = 1L << 20;

  private MachineProbes() {}

  static List<Probe> all() {
    List<Probe> probes = new ArrayList<>();
    probes.add(
        new Probe(
            "WEIR-M001",
            "machine",
            "root's capabilities",
            true,
            "run as root, outside an unprivileged container",
            MachineProbes::capabilities));
    probes.add(
        new Probe(
            "WEIR-M002",
            "machine",
            "libbpf",
            true,
            "apt-get install libbpf1",
            () ->
                Finding.ok(
                    Kernel.instance().bpf().libbpfVersion()
                        + " by "
                        + Kernel.instance().binding())));
    probes.add(program("WEIR-M003", "ip", "iproute2"));
    probes.add(program("WEIR-M004", "nft", "nftables"));
    probes.add(program("WEIR-M005", "nsenter", "util-linux"));
    probes.add(
        new Probe(
            "WEIR-M006",
            "machine",
            "room under /run",
            false,
            "a lab may not fit: free some space in /run",
            () -> space(Path.of("/run"))));
    probes.add(
        new Probe(
            "WEIR-M007",
            "machine",
            "free memory",
            false,
            "a lab of a dozen pods may not fit: stop something, or use fewer pods",
            MachineProbes::memory));
    return probes;
  }

  private static Probe program(String code, String name, String debianPackage) {
    return new Probe(
        code, "machine", name, true, "apt-get install " + debianPackage, () -> onPath(name));
  }

  private static Finding capabilities() throws IOException {
    String line =
        Files.readAllLines(Path.of("/proc/self/status")).stream()
            .filter(each -> each.startsWith("CapEff:"))
            .findFirst()
            .orElseThrow(() -> new IOException("no CapEff in /proc/self/status"));
    long effective = Long.parseUnsignedLong(line.substring("CapEff:".length()).strip(), 16);
    boolean all =
        Arrays.stream(CAPABILITIES).allMatch(capability -> (effective >> capability & 1) == 1);
    return all
        ? Finding.ok("NET_ADMIN, SYS_ADMIN, PERFMON, BPF")
        : Finding.missing("effective capabilities are only " + Long.toHexString(effective));
  }

  private static Finding onPath(String name) {
    String path = System.getenv("PATH");
    return Stream.of((path == null ? "" : path).split(":", -1))
        .filter(folder -> !folder.isEmpty())
        .map(folder -> Path.of(folder, name))
        .filter(Files::isExecutable)
        .findFirst()
        .map(found -> Finding.ok(found.toString()))
        .orElse(Finding.missing("not on PATH"));
  }

  private static Finding space(Path folder) throws IOException {
    long free = Files.getFileStore(folder).getUsableSpace();
    String detail = (free >> 20) + " MiB free";
    return free >= LAB_BYTES
        ? Finding.ok(detail)
        : Finding.limited(detail + " (wanted: " + (LAB_BYTES >> 20) + ")");
  }

  private static Finding memory() throws IOException {
    String line =
        Files.readAllLines(Path.of("/proc/meminfo")).stream()
            .filter(each -> each.startsWith("MemAvailable:"))
            .findFirst()
            .orElseThrow(() -> new IOException("no MemAvailable in /proc/meminfo"));
    long free = Long.parseLong(line.replaceAll("\\D", ""));
    String detail = (free >> 10) + " MiB available";
    return free >= LAB_MEMORY_KIB
        ? Finding.ok(detail)
        : Finding.limited(detail + " (wanted: " + (LAB_MEMORY_KIB >> 10) + ")");
  }
}

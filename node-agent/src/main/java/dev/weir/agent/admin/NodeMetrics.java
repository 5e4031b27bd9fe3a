package dev.weir.agent.admin;

import dev.weir.agent.capture.Joining;
import dev.weir.agent.metrics.Exposition;
import dev.weir.agent.telemetry.RefusalReport;
import io.netty.buffer.ByteBufAllocator;
import io.netty.buffer.ByteBufAllocatorMetricProvider;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;

/** What the node and its process are, as {@code weir_*} and {@code process_*}. */
final class NodeMetrics {
  private static final long PAGE_BYTES = 4096;

  /** USER_HZ: fixed by the kernel's ABI on every architecture that we run on. */
  private static final long TICKS_A_SECOND = 100;

  private final AdminOptions options;
  private final AdminSources sources;
  private final StatusReport status;

  NodeMetrics(AdminOptions options, AdminSources sources, StatusReport status) {
    this.options = options;
    this.sources = sources;
    this.status = status;
  }

  void write(Exposition out) {
    out.family("weir_build_info", Exposition.Kind.GAUGE, "The agent that runs; always 1.");
    out.sample(
        "weir_build_info",
        Exposition.labels(
            "version", options.version(), "node", options.node(), "transport", sources.transport()),
        1);
    out.single(
        "weir_ready",
        Exposition.Kind.GAUGE,
        "Whether the agent is ready.",
        sources.notReady().get().isEmpty() ? 1 : 0);
    out.single(
        "weir_pods_enrolled",
        Exposition.Kind.GAUGE,
        "Pods of this node in the mesh.",
        sources.pods().get().size());
    out.family(
        "weir_joining",
        Exposition.Kind.GAUGE,
        "Whether sockets may be joined on this kernel: 1 for the state that holds.");
    Joining.State joining = sources.joining().get().state();
    for (Joining.State state : Joining.State.values()) {
      out.sample(
          "weir_joining",
          Exposition.labels("state", state.name().toLowerCase(Locale.ROOT)),
          state == joining ? 1 : 0);
    }
    out.family(
        "weir_refusals_total",
        Exposition.Kind.COUNTER,
        "What pods were refused, by reason; at most 8192 series.");
    for (RefusalReport refusal : status.refusals()) {
      int slash = refusal.pod().indexOf('/');
      out.sample(
          "weir_refusals_total",
          Exposition.labels(
              "namespace", slash < 0 ? "" : refusal.pod().substring(0, slash),
              "pod", refusal.pod().substring(slash + 1),
              "reason", refusal.reason()),
          refusal.count());
    }
    process(out);
  }

  private static void process(Exposition out) {
    String[] pages = words(Path.of("/proc/self/statm"));
    if (pages.length > 1) {
      out.single(
          "process_resident_memory_bytes",
          Exposition.Kind.GAUGE,
          "Resident memory.",
          Long.parseLong(pages[1]) * PAGE_BYTES);
    }
    String[] stat = words(Path.of("/proc/self/stat"));
    // proc(5): utime and stime are fields 14 and 15; the second, our own name, is one word.
    if (stat.length > 14) {
      out.single(
          "process_cpu_seconds_total",
          Exposition.Kind.COUNTER,
          "User and system time, whole seconds.",
          (Long.parseLong(stat[13]) + Long.parseLong(stat[14])) / TICKS_A_SECOND);
    }
    if (ByteBufAllocator.DEFAULT instanceof ByteBufAllocatorMetricProvider provider) {
      out.single(
          "weir_direct_memory_bytes",
          Exposition.Kind.GAUGE,
          "Direct memory that the buffer allocator holds.",
          provider.metric().usedDirectMemory());
    }
    Runtime runtime = Runtime.getRuntime();
    out.single(
        "weir_heap_used_bytes",
        Exposition.Kind.GAUGE,
        "Heap in use.",
        runtime.totalMemory() - runtime.freeMemory());
  }

  private static String[] words(Path file) {
    try {
      return Files.readString(file).trim().split("\\s+", -1);
    } catch (IOException e) {
      // No /proc: the numbers are left out rather than made up.
      return new String[0];
    }
  }
}

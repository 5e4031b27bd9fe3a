package dev.weir.agent.capture;

import dev.weir.agent.log.Log;
import dev.weir.bpf.Layouts;
import dev.weir.ffi.Bpf.BpfMap;
import dev.weir.ffi.Kernel;
import dev.weir.ffi.KernelException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BiConsumer;
import java.util.function.BiPredicate;
import java.util.function.Predicate;

/**
 * Ends kernel flows that lost their right: SOCK_DESTROY at the client, or at the server where the
 * client's namespace is not known; the other end sees a reset.
 */
final class FlowCutter {
  private final Kernel kernel;
  private final BpfMap flows;
  private final PodBook book;
  private final Log log;

  FlowCutter(Kernel kernel, BpfMap flows, PodBook book, Log log) {
    this.kernel = kernel;
    this.flows = flows;
    this.book = book;
    this.log = log;
  }

  /**
   * On the capture thread. Only what is ours is cut: excluded flows and those let through without
   * an agent are not.
   */
  int cut(Predicate<Layouts.Flow> which) {
    return cut((tuple, flow) -> which.test(flow), (tuple, flow) -> {});
  }

  /**
   * As {@link #cut(Predicate)}, by addresses too.
   *
   * @param cut told of each that was there to be ended
   */
  int cut(
      BiPredicate<Layouts.Tuple, Layouts.Flow> which, BiConsumer<Layouts.Tuple, Layouts.Flow> cut) {
    Map<Pod, Map<Ends, Runnable>> doomed = new HashMap<>();
    flows.forEach((key, value) -> {
      Layouts.Flow flow = Layouts.Flow.of(value);
      boolean ours = flow.path() == Layouts.PATH_DIRECT || flow.path() == Layouts.PATH_JOINED;
      if (!ours) {
        return;
      }
      Layouts.Tuple tuple = Layouts.Tuple.of(key);
      if (!which.test(tuple, flow)) {
        return;
      }
      Runnable tell = () -> cut.accept(tuple, flow);
      Pod client = book.withNetns(flow.sourcePod());
      Pod server = book.withNetns(flow.destinationPod());
      if (client != null) {
        doomed
            .computeIfAbsent(client, pod -> new HashMap<>())
            .put(
                new Ends(tuple.client(), tuple.clientPort(), tuple.server(), tuple.serverPort()),
                tell);
      } else if (server != null) {
        doomed
            .computeIfAbsent(server, pod -> new HashMap<>())
            .put(
                new Ends(tuple.server(), tuple.serverPort(), tuple.client(), tuple.clientPort()),
                tell);
      }
    });
    int count = 0;
    for (Map.Entry<Pod, Map<Ends, Runnable>> entry : doomed.entrySet()) {
      Pod pod = entry.getKey();
      Map<Ends, Runnable> ends = entry.getValue();
      List<Runnable> ended = new ArrayList<>();
      try {
        count +=
            kernel
                .namespaces()
                .inNetwork(
                    pod.netns(),
                    () ->
                        kernel
                            .netlink()
                            .destroyTcp(socket -> {
                              Runnable told = ends.get(Ends.of(socket));
                              if (told != null) {
                                ended.add(told);
                              }
                              return told != null;
                            }));
        ended.forEach(Runnable::run);
      } catch (KernelException e) {
        log.error(
            "flows not cut", "pod", pod.label(), "flows", ends.size(), "cause", e.getMessage());
      }
    }
    if (count > 0) {
      log.info("flows cut", "count", count);
    }
    return count;
  }
}

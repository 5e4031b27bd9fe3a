package dev.weir.agent.dns;

import dev.weir.agent.metrics.Exposition;
import java.util.concurrent.atomic.LongAdder;

/** What DNS did on this node, all pods together; of pods there are {@code weir_refusals_total}. */
final class DnsCounters {
  final LongAdder fromMesh = new LongAdder();
  final LongAdder forwarded = new LongAdder();
  final LongAdder malformed = new LongAdder();
  final LongAdder ignored = new LongAdder();
  final LongAdder overload = new LongAdder();
  final LongAdder upstreamRequests = new LongAdder();
  final LongAdder upstreamFailures = new LongAdder();
  final LongAdder upstreamMismatches = new LongAdder();

  void write(Exposition out) {
    out.family(
        "weir_dns_requests_total",
        Exposition.Kind.COUNTER,
        "Questions of enrolled pods, by what became of them; five series.");
    requests(out, "mesh", fromMesh);
    requests(out, "forwarded", forwarded);
    requests(out, "malformed", malformed);
    requests(out, "ignored", ignored);
    requests(out, "overload", overload);
    out.single(
        "weir_dns_upstream_requests_total",
        Exposition.Kind.COUNTER,
        "Questions put to upstream servers, retries included.",
        upstreamRequests.sum());
    out.single(
        "weir_dns_upstream_failures_total",
        Exposition.Kind.COUNTER,
        "Questions that no upstream server answered in time.",
        upstreamFailures.sum());
    out.single(
        "weir_dns_upstream_mismatches_total",
        Exposition.Kind.COUNTER,
        "Messages to the upstream socket that answered no question of ours: late, or forged.",
        upstreamMismatches.sum());
  }

  private static void requests(Exposition out, String answer, LongAdder count) {
    out.sample("weir_dns_requests_total", Exposition.labels("answer", answer), count.sum());
  }
}

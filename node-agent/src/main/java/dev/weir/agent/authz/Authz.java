package dev.weir.agent.authz;

import dev.weir.agent.metrics.Exposition;
import dev.weir.agent.metrics.MetricSource;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.LongAdder;

/** The door: asks the policies and counts what they denied. One a process; any thread. */
public final class Authz implements MetricSource {
  /** Policies with counters of their own; a node that has more counts the rest together. */
  static final int MAX_POLICIES = 1024;

  private static final String OVERFLOW = "overflow";

  private record Key(String policy, String effect) {}

  /**
   * How often a policy decided against a call.
   *
   * @param effect a {@link Verdict.Reason#label}, or {@code would-deny}
   */
  public record Count(String policy, String effect, long count) {}

  private final ConcurrentHashMap<Key, LongAdder> counts = new ConcurrentHashMap<>();

  /** Judges a call that wants to be let in. */
  public Verdict decide(Policies policies, Call call) {
    Verdict verdict = policies.decide(call);
    if (!verdict.allowed()) {
      count(verdict.policy(), verdict.reason().label());
    } else {
      List<String> wouldDeny = verdict.wouldDeny();
      for (int i = 0; i < wouldDeny.size(); i++) {
        count(wouldDeny.get(i), "would-deny");
      }
    }
    return verdict;
  }

  /** A connection that was let in has lost its right. */
  public void ended(Verdict verdict) {
    count(verdict.policy(), verdict.reason().label());
  }

  private void count(String policy, String effect) {
    Key key = new Key(policy, effect);
    LongAdder counter = counts.get(key);
    if (counter == null) {
      Key kept = counts.size() < MAX_POLICIES ? key : new Key(OVERFLOW, effect);
      counter = counts.computeIfAbsent(kept, _ -> new LongAdder());
    }
    counter.increment();
  }

  /** By policy and effect. */
  public List<Count> counts() {
    List<Count> all = new ArrayList<>(counts.size());
    counts.forEach((key, counter) -> all.add(new Count(key.policy(), key.effect(), counter.sum())));
    all.sort(Comparator.comparing(Count::policy).thenComparing(Count::effect));
    return all;
  }

  @Override
  public void write(Exposition out) {
    List<Count> all = counts();
    out.family(
        "weir_policy_denied_total",
        Exposition.Kind.COUNTER,
        "Connections refused or ended by a policy; at most 1024 series with would-deny.");
    for (Count each : all) {
      if (!each.effect().equals("would-deny")) {
        out.sample(
            "weir_policy_denied_total",
            Exposition.labels("policy", each.policy(), "reason", each.effect()),
            each.count());
      }
    }
    out.family(
        "weir_policy_would_deny_total",
        Exposition.Kind.COUNTER,
        "Connections let through that a policy in shadow mode would have denied.");
    for (Count each : all) {
      if (each.effect().equals("would-deny")) {
        out.sample(
            "weir_policy_would_deny_total",
            Exposition.labels("policy", each.policy()),
            each.count());
      }
    }
  }
}

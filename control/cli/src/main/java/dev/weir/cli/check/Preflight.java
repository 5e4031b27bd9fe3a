package dev.weir.cli.check;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/** All probes, in the order in which a missing one explains those after it. */
public final class Preflight {
  private Preflight() {}

  /**
   * Runs all, telling of each as it is known. Takes about a second, most of it the joining
   * self-test.
   */
  public static List<Feature> run(Consumer<Feature> each) {
    List<Probe> probes = new ArrayList<>(MachineProbes.all());
    probes.addAll(KernelProbes.all());
    probes.addAll(AgentProbes.all());
    List<Feature> features = new ArrayList<>();
    for (Probe probe : probes) {
      Feature feature = probe.run();
      features.add(feature);
      each.accept(feature);
    }
    return List.copyOf(features);
  }
}

package dev.weir.api.kube;

import java.util.Map;

/** What a workload's pods are made from. */
public record PodTemplate(
    Map<String, String> labels, Map<String, String> annotations, PodSpec spec) {
  public PodTemplate {
    labels = Map.copyOf(labels);
    annotations = Map.copyOf(annotations);
  }
}

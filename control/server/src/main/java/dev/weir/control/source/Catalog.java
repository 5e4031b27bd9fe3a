package dev.weir.control.source;

import dev.weir.api.kube.KubeObject;
import dev.weir.api.yaml.Problem;
import java.util.List;

/**
 * All objects of a source at one moment.
 *
 * @param problems what could not be taken, each with its place
 */
public record Catalog(List<KubeObject> objects, List<Problem> problems) {
  public static final Catalog EMPTY = new Catalog(List.of(), List.of());

  public Catalog {
    objects = List.copyOf(objects);
    problems = List.copyOf(problems);
  }
}

package dev.weir.api.kube;

import java.util.List;
import java.util.Map;

/** A volume of a pod. */
public record Volume(String name, Source source) {

  /** Where its content comes from. */
  public sealed interface Source {}

  /** Nothing at first; {@code medium} is empty or {@code Memory}. */
  public record EmptyDir(String medium) implements Source {}

  /** A path of the node. */
  public record HostPath(String path, String type) implements Source {}

  /** Several sources in one folder. */
  public record Projected(List<Projection> sources) implements Source {
    public Projected {
      sources = List.copyOf(sources);
    }
  }

  /** A kind of volume that Weir does not know how to fill, by its name in the manifest. */
  public record Other(String type) implements Source {}

  /** What a projected volume may hold; each but the token is a volume of its own, too. */
  public sealed interface Projection {}

  /**
   * A ConfigMap's keys as files.
   *
   * @param items key to path; empty means every key under its own name
   */
  public record ConfigMapFiles(String name, Map<String, String> items, boolean optional)
      implements Source, Projection {
    public ConfigMapFiles {
      items = Map.copyOf(items);
    }
  }

  /**
   * A Secret's keys as files.
   *
   * @param items key to path; empty means every key under its own name
   */
  public record SecretFiles(String name, Map<String, String> items, boolean optional)
      implements Source, Projection {
    public SecretFiles {
      items = Map.copyOf(items);
    }
  }

  /** The pod's own fields as files: path to field path. */
  public record PodFields(Map<String, String> items) implements Source, Projection {
    public PodFields {
      items = Map.copyOf(items);
    }
  }

  /** A token that proves the pod's service account. */
  public record ServiceAccountToken(String audience, long expirationSeconds, String path)
      implements Projection {}
}

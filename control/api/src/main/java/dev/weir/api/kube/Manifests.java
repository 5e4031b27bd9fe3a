package dev.weir.api.kube;

import dev.weir.api.yaml.Fields;
import dev.weir.api.yaml.Location;
import dev.weir.api.yaml.Problem;
import dev.weir.api.yaml.YamlException;
import dev.weir.api.yaml.YamlNode;
import dev.weir.api.yaml.YamlReader;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/** Reads Kubernetes objects from YAML or JSON. */
public final class Manifests {
  private static final String GATEWAY_GROUP = "gateway.networking.k8s.io/";
  private static final String WEIR_GROUP = "weir.dev/";

  /** What Weir takes: kind to its API version and reader. */
  private static final Map<String, Kind> KINDS =
      Map.ofEntries(
          kind("v1", "Namespace", ObjectReader::namespace),
          kind("v1", "ServiceAccount", ObjectReader::serviceAccount),
          kind("v1", "Node", ObjectReader::node),
          kind("v1", "Pod", ObjectReader::pod),
          kind("v1", "Service", ObjectReader::service),
          kind("v1", "ConfigMap", ObjectReader::configMap),
          kind("v1", "Secret", ObjectReader::secret),
          kind("apps/v1", "Deployment", ObjectReader::deployment),
          kind("apps/v1", "ReplicaSet", ObjectReader::replicaSet),
          kind("apps/v1", "StatefulSet", ObjectReader::statefulSet),
          kind("apps/v1", "DaemonSet", ObjectReader::daemonSet),
          kind("batch/v1", "Job", ObjectReader::job),
          kind("discovery.k8s.io/v1", "EndpointSlice", ObjectReader::endpointSlice),
          kind(AccessPolicy.API_VERSION, "AccessPolicy", PolicyReader::accessPolicy));

  private Manifests() {}

  private record Kind(String apiVersion, Function<Fields, KubeObject> read) {}

  private static Map.Entry<String, Kind> kind(
      String apiVersion, String name, Function<Fields, KubeObject> read) {
    return Map.entry(name, new Kind(apiVersion, read));
  }

  /**
   * What a file held.
   *
   * @param manifests the objects that are right
   * @param problems at most one for each document that is wrong
   */
  public record Result(List<Manifest> manifests, List<Problem> problems) {
    public Result {
      manifests = List.copyOf(manifests);
      problems = List.copyOf(problems);
    }

    /** The objects, if all is right; otherwise an exception with the first problem. */
    public List<Manifest> orThrow() {
      if (!problems.isEmpty()) {
        throw new YamlException(problems.getFirst());
      }
      return manifests;
    }
  }

  /**
   * Reads a file's text.
   *
   * @param file how errors call it
   */
  public static Result read(String file, String text) {
    List<Manifest> manifests = new ArrayList<>();
    List<Problem> problems = new ArrayList<>();
    try {
      YamlReader.read(file, text, document -> read(document, manifests, problems));
    } catch (YamlException e) {
      // What cannot be parsed makes its whole file doubtful.
      return new Result(List.of(), List.of(e.problem()));
    }
    problems.addAll(duplicates(manifests));
    return new Result(manifests, problems);
  }

  /** One problem for each object that an earlier one has already named. */
  public static List<Problem> duplicates(Collection<Manifest> manifests) {
    Map<String, Location> seen = new HashMap<>();
    List<Problem> problems = new ArrayList<>();
    for (Manifest manifest : manifests) {
      Location earlier = seen.putIfAbsent(manifest.object().key(), manifest.where());
      if (earlier != null) {
        problems.add(
            new Problem(
                manifest.where(),
                manifest.object().key()
                    + " stands here a second time, first in "
                    + earlier
                    + "; rename or remove one"));
      }
    }
    return problems;
  }

  private static void read(YamlNode document, List<Manifest> manifests, List<Problem> problems) {
    try {
      Fields fields = Fields.of("", document);
      if (fields.text("kind").equals("List")) {
        fields.text("apiVersion");
        fields.ignore("metadata");
        List<YamlNode> items = fields.items("items");
        fields.done();
        for (YamlNode item : items) {
          read(item, manifests, problems);
        }
        return;
      }
      manifests.add(new Manifest(object(fields), document.where()));
    } catch (YamlException e) {
      problems.add(e.problem());
    }
  }

  private static KubeObject object(Fields fields) {
    String apiVersion = fields.text("apiVersion");
    String name = fields.text("kind");
    if (apiVersion.startsWith(GATEWAY_GROUP)
        || (apiVersion.startsWith(WEIR_GROUP) && name.equals("TrafficPolicy"))) {
      throw fields.wrong(
          "kind",
          name
              + " ("
              + apiVersion
              + ") is not enforced by this version of Weir, and is refused so that nobody relies on it; remove it");
    }
    Kind kind = KINDS.get(name);
    if (kind == null) {
      String guess = Fields.closest(name, KINDS.keySet());
      throw fields.wrong(
          "kind",
          name
              + " ("
              + apiVersion
              + ") is unknown to Weir; "
              + (guess == null
                  ? "remove it (taken are: "
                      + String.join(", ", KINDS.keySet().stream().sorted().toList())
                      + ")"
                  : "did you mean " + guess + "?"));
    }
    if (!kind.apiVersion().equals(apiVersion)) {
      throw fields.wrong(
          "apiVersion",
          "of a " + name + " must be " + kind.apiVersion() + ", not '" + apiVersion + "'");
    }
    KubeObject object = kind.read().apply(fields);
    fields.done();
    return object;
  }
}

package dev.weir.api.kube;

import dev.weir.api.model.Cidr;
import dev.weir.api.yaml.Fields;
import dev.weir.api.yaml.YamlException;
import dev.weir.api.yaml.YamlNode;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BiConsumer;
import java.util.function.Function;
import java.util.regex.Pattern;

/**
 * Reads an AccessPolicy. What it cannot mean is refused rather than guessed: a policy that says
 * less than its author thinks lets strangers in.
 */
final class PolicyReader {
  private static final int MAX_PORT = 65535;

  private static final List<String> LAYER_7_OF_TO =
      List.of(
          "methods",
          "notMethods",
          "paths",
          "notPaths",
          "hosts",
          "notHosts",
          "headers",
          "notHeaders",
          "grpcMethods",
          "notGrpcMethods");
  private static final List<String> LAYER_7_OF_SPEC = List.of("jwt", "external");

  private static final Pattern NAME = Pattern.compile("[a-z0-9]([-a-z0-9.]*[a-z0-9])?");
  private static final Pattern ACCOUNT =
      Pattern.compile("[a-z0-9]([-a-z0-9]*[a-z0-9])?/[a-z0-9]([-a-z0-9.]*[a-z0-9])?");
  private static final Pattern PRINCIPAL =
      Pattern.compile("spiffe://[a-z0-9._-]+/ns/[a-z0-9.-]+/sa/[a-z0-9.-]+");
  private static final Pattern PART_OF_PRINCIPAL = Pattern.compile("[a-z0-9._/-]*");
  private static final Pattern PART_OF_ACCOUNT = Pattern.compile("[a-z0-9.-]*/?[a-z0-9.-]*");
  private static final Pattern PART_OF_NAME = Pattern.compile("[a-z0-9.-]*");

  private PolicyReader() {}

  static AccessPolicy accessPolicy(Fields object) {
    Metadata metadata = ObjectReader.metadata(object, "AccessPolicy", true);
    object.ignore("status");
    Fields spec = object.requiredChild("spec");
    LAYER_7_OF_SPEC.forEach(field -> refuseLayer7(spec, field));
    boolean saysAction = spec.has("action");
    List<AccessPolicy.From> from = some(spec, "from", "anyone", PolicyReader::from);
    List<AccessPolicy.To> to = some(spec, "to", "everything", PolicyReader::to);
    AccessPolicy policy =
        new AccessPolicy(
            metadata,
            some(spec, "targetRefs", "the whole namespace", PolicyReader::target),
            saysAction || !from.isEmpty() || !to.isEmpty(),
            spec.choice(
                "action",
                AccessPolicy.Action.ALLOW,
                Map.of("allow", AccessPolicy.Action.ALLOW, "deny", AccessPolicy.Action.DENY)),
            spec.choice("mode", false, Map.of("enforce", false, "shadow", true)),
            spec.choice(
                "mtls",
                AccessPolicy.Mtls.UNSAID,
                Map.of(
                    "strict", AccessPolicy.Mtls.STRICT,
                    "permissive", AccessPolicy.Mtls.PERMISSIVE)),
            from,
            to);
    spec.done();
    if (!policy.decides() && policy.mtls() == AccessPolicy.Mtls.UNSAID) {
      throw object.wrong("spec", "says nothing; give it an action, from, to or mtls");
    }
    return policy;
  }

  private static AccessPolicy.Target target(Fields target) {
    String kind = target.text("kind");
    String group = target.text("group", "");
    if (kind.equals("HTTPRoute") || kind.equals("GRPCRoute")) {
      throw layer7(target, "kind", kind);
    }
    AccessPolicy.Target read =
        switch (kind) {
          case "Service" -> new AccessPolicy.Target.OfService(target.text("name"));
          case "Pod" -> pods(target);
          default ->
              throw target.wrong("kind", "is '" + kind + "' (expected: Service, Pod, HTTPRoute)");
        };
    if (!group.isEmpty() && !group.equals("core")) {
      throw target.wrong("group", "is '" + group + "', which has no " + kind + "; leave it out");
    }
    target.done();
    return read;
  }

  private static AccessPolicy.Target pods(Fields target) {
    if (target.has("name")) {
      throw target.wrong("name", "cannot pick pods, which come and go; use selector");
    }
    LabelSelector selector = ObjectReader.labelSelector(target.requiredChild("selector"));
    if (selector.matchLabels().isEmpty() && selector.matchExpressions().isEmpty()) {
      throw target.wrong("selector", "is empty; for the whole namespace leave targetRefs out");
    }
    return new AccessPolicy.Target.OfPods(selector);
  }

  private static AccessPolicy.From from(Fields from) {
    AccessPolicy.From read =
        new AccessPolicy.From(
            texts(from, "serviceAccounts", PolicyReader::checkAccount),
            texts(from, "notServiceAccounts", PolicyReader::checkAccount),
            texts(from, "namespaces", PolicyReader::checkNamespace),
            texts(from, "notNamespaces", PolicyReader::checkNamespace),
            texts(from, "principals", PolicyReader::checkPrincipal),
            texts(from, "notPrincipals", PolicyReader::checkPrincipal),
            blocks(from, "ipBlocks"),
            blocks(from, "notIpBlocks"));
    from.done();
    if (read.equals(
        new AccessPolicy.From(
            List.of(), List.of(), List.of(), List.of(), List.of(), List.of(), List.of(),
            List.of()))) {
      throw from.wrongWhole("names nobody; say who, or leave from out for anyone");
    }
    return read;
  }

  private static AccessPolicy.To to(Fields to) {
    LAYER_7_OF_TO.forEach(field -> refuseLayer7(to, field));
    AccessPolicy.To read = new AccessPolicy.To(ports(to, "ports"), ports(to, "notPorts"));
    to.done();
    if (read.ports().isEmpty() && read.notPorts().isEmpty()) {
      throw to.wrongWhole("names nothing; say what, or leave to out for everything");
    }
    return read;
  }

  private static void refuseLayer7(Fields fields, String name) {
    if (fields.names(name)) {
      throw layer7(fields, name, fields.path(name));
    }
  }

  private static YamlException layer7(Fields fields, String name, String what) {
    return new YamlException(
        fields.where(name),
        what
            + " is layer 7, which this version of Weir does not enforce yet; it is refused so that"
            + " nobody relies on it: remove it");
  }

  /** A list that is either left out or names something. */
  private static <T> List<T> some(
      Fields fields, String name, String absent, Function<Fields, T> read) {
    List<T> list = fields.list(name, read);
    refuseEmpty(fields, name, list, absent);
    return list;
  }

  private static void refuseEmpty(Fields fields, String name, List<?> list, String absent) {
    if (list.isEmpty() && fields.names(name)) {
      throw fields.wrong(name, "is empty; leave it out if you mean " + absent);
    }
  }

  private static List<String> texts(Fields fields, String name, BiConsumer<At, String> check) {
    List<String> texts = fields.textList(name);
    refuseEmpty(fields, name, texts, "any");
    List<YamlNode> nodes = fields.items(name);
    for (int i = 0; i < texts.size(); i++) {
      check.accept(new At(fields, name, nodes.get(i), i), texts.get(i));
    }
    return texts;
  }

  /** One value of a list, for an error about it. */
  private record At(Fields fields, String name, YamlNode node, int index) {
    YamlException wrong(String problem) {
      return new YamlException(node.where(), fields.path(name) + "[" + index + "] " + problem);
    }
  }

  private static void checkNamespace(At at, String text) {
    checkWildcard(at, text, NAME, PART_OF_NAME, "a namespace such as shop, sh* or *-test");
  }

  private static void checkAccount(At at, String text) {
    checkWildcard(
        at,
        text,
        ACCOUNT,
        PART_OF_ACCOUNT,
        "a service account such as shop/front, shop/* or */front");
  }

  private static void checkPrincipal(At at, String text) {
    String expected =
        "a principal such as spiffe://cluster.local/ns/shop/sa/front, spiffe://cluster.local/ns/shop/* or"
            + " */sa/front";
    if (text.endsWith("*") && text.length() > 1) {
      if (!text.startsWith("spiffe://")) {
        throw at.wrong("is '" + text + "' (expected: " + expected + ")");
      }
      checkWildcard(
          at, text.substring("spiffe://".length()), PRINCIPAL, PART_OF_PRINCIPAL, expected);
    } else {
      checkWildcard(at, text, PRINCIPAL, PART_OF_PRINCIPAL, expected);
    }
  }

  private static void checkWildcard(
      At at, String text, Pattern whole, Pattern part, String expected) {
    int star = text.indexOf('*');
    if (star >= 0 && star != text.lastIndexOf('*')) {
      throw at.wrong("is '" + text + "' with more than one *; one may stand at either end");
    }
    if (star > 0 && star < text.length() - 1) {
      throw at.wrong("is '" + text + "' with a * in the middle; it may stand at either end only");
    }
    boolean right =
        star < 0 ? whole.matcher(text).matches() : part.matcher(text.replace("*", "")).matches();
    if (!right) {
      throw at.wrong("is '" + text + "' (expected: " + expected + ")");
    }
  }

  private static List<Cidr> blocks(Fields fields, String name) {
    List<Cidr> blocks = new ArrayList<>();
    texts(
        fields,
        name,
        (at, text) -> {
          try {
            blocks.add(Cidr.parse(text));
          } catch (IllegalArgumentException e) {
            throw at.wrong(String.valueOf(e.getMessage()));
          }
        });
    return blocks;
  }

  private static List<Integer> ports(Fields fields, String name) {
    List<Integer> ports = fields.integers(name, 1, MAX_PORT);
    refuseEmpty(fields, name, ports, "any");
    Set<Integer> seen = new HashSet<>();
    for (int port : ports) {
      if (!seen.add(port)) {
        throw fields.wrong(name, "has " + port + " twice");
      }
    }
    return ports;
  }
}

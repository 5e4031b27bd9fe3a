package dev.weir.api.yaml;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.snakeyaml.engine.v2.api.LoadSettings;
import org.snakeyaml.engine.v2.api.lowlevel.Compose;
import org.snakeyaml.engine.v2.exceptions.Mark;
import org.snakeyaml.engine.v2.exceptions.MarkedYamlEngineException;
import org.snakeyaml.engine.v2.exceptions.YamlEngineException;
import org.snakeyaml.engine.v2.nodes.MappingNode;
import org.snakeyaml.engine.v2.nodes.Node;
import org.snakeyaml.engine.v2.nodes.NodeTuple;
import org.snakeyaml.engine.v2.nodes.ScalarNode;
import org.snakeyaml.engine.v2.nodes.SequenceNode;
import org.snakeyaml.engine.v2.nodes.Tag;
import org.snakeyaml.engine.v2.schema.CoreSchema;

/**
 * Reads the documents of a YAML or JSON file. Keys are texts, twice the same key is an error, and
 * an alias shares the node that it points to instead of copying it, so a small file cannot grow
 * into a huge tree.
 */
public final class YamlReader {
  /** More than a cluster of 10,000 services needs, and little enough to hold in memory. */
  private static final int MAX_CHARACTERS = 256 << 20;

  /** Far deeper than any Kubernetes object, and shallow enough for any thread's stack. */
  private static final int MAX_DEPTH = 100;

  private final String file;
  private final IdentityHashMap<Node, YamlNode> converted = new IdentityHashMap<>();
  private final Set<Node> open = new HashSet<>();
  private int document;

  private YamlReader(String file) {
    this.file = file;
  }

  /**
   * Reads all documents; those that are empty are left out.
   *
   * @param file how errors call it
   * @throws YamlException if the text cannot be parsed
   */
  public static List<YamlNode> read(String file, String text) {
    List<YamlNode> documents = new ArrayList<>();
    read(file, text, documents::add);
    return documents;
  }

  /**
   * The same one document after the other, so that only one tree is held at a time: a large
   * cluster's file has tens of thousands.
   *
   * @throws YamlException if the text cannot be parsed; the documents before that place have been
   *     handed over
   */
  public static void read(String file, String text, Consumer<YamlNode> taker) {
    new YamlReader(file).documents(text, taker);
  }

  private void documents(String text, Consumer<YamlNode> taker) {
    LoadSettings settings =
        LoadSettings.builder()
            .setLabel(file)
            .setSchema(new CoreSchema())
            .setAllowDuplicateKeys(true) // found below, where both lines are known
            .setAllowNonScalarKeys(true) // refused below, with their line
            .setCodePointLimit(MAX_CHARACTERS)
            .setMaxAliasesForCollections(Integer.MAX_VALUE) // an alias costs nothing here
            .build();
    try {
      Iterator<Node> nodes = new Compose(settings).composeAllFromString(text).iterator();
      document = 1;
      while (nodes.hasNext()) {
        Node node = nodes.next();
        converted.clear();
        YamlNode root = convert(node, 0);
        if (!(root instanceof YamlNode.Scalar scalar && scalar.type() == YamlNode.Type.NULL)) {
          taker.accept(root);
        }
        document++;
      }
    } catch (MarkedYamlEngineException e) {
      throw new YamlException(
          new Location(file, Math.max(document, 1), line(e.getProblemMark().or(e::getContextMark))),
          "not valid YAML: " + reason(e));
    } catch (YamlEngineException e) {
      throw new YamlException(
          new Location(file, Math.max(document, 1), 1),
          "not valid YAML: " + firstLine(e.getMessage()));
    } catch (StackOverflowError e) {
      throw new YamlException(
          new Location(file, Math.max(document, 1), 1),
          "nested deeper than " + MAX_DEPTH + " levels; no Kubernetes object is");
    }
  }

  private YamlNode convert(Node node, int depth) {
    YamlNode done = converted.get(node);
    if (done != null) {
      return done;
    }
    Location where = where(node);
    if (depth > MAX_DEPTH) {
      throw new YamlException(
          where, "nested deeper than " + MAX_DEPTH + " levels; no Kubernetes object is");
    }
    if (!open.add(node)) {
      throw new YamlException(where, "the anchor contains an alias to itself; write the value out");
    }
    YamlNode result =
        switch (node) {
          case MappingNode mapping -> mapping(where, mapping, depth);
          case SequenceNode sequence -> {
            List<YamlNode> items = new ArrayList<>(sequence.getValue().size());
            for (Node item : sequence.getValue()) {
              items.add(convert(item, depth + 1));
            }
            yield new YamlNode.Sequence(where, items);
          }
          case ScalarNode scalar -> scalar(where, scalar);
          default ->
              throw new YamlException(where, "a YAML node that is no mapping, list or value");
        };
    open.remove(node);
    converted.put(node, result);
    return result;
  }

  private YamlNode.Mapping mapping(Location where, MappingNode node, int depth) {
    Map<String, YamlNode.Entry> entries = new LinkedHashMap<>();
    List<YamlNode.Mapping> merged = new ArrayList<>();
    for (NodeTuple tuple : node.getValue()) {
      Location keyWhere = where(tuple.getKeyNode());
      if (!(tuple.getKeyNode() instanceof ScalarNode key)) {
        throw new YamlException(
            keyWhere,
            "a key must be a text, not a mapping or list; an unfilled template {{ }} must be filled first");
      }
      YamlNode value = convert(tuple.getValueNode(), depth + 1);
      if (key.getValue().equals("<<") && key.isPlain()) {
        merge(keyWhere, value, merged);
        continue;
      }
      YamlNode.Entry earlier = entries.put(key.getValue(), new YamlNode.Entry(keyWhere, value));
      if (earlier != null) {
        throw new YamlException(
            keyWhere,
            "the key '"
                + key.getValue()
                + "' stands here a second time, first in line "
                + earlier.where().line()
                + "; remove one");
      }
    }
    for (YamlNode.Mapping other : merged) {
      other.entries().forEach(entries::putIfAbsent);
    }
    return new YamlNode.Mapping(where, entries);
  }

  /** YAML 1.1's merge key, which kubectl takes too. */
  private static void merge(Location where, YamlNode value, List<YamlNode.Mapping> merged) {
    switch (value) {
      case YamlNode.Mapping mapping -> merged.add(mapping);
      case YamlNode.Sequence sequence when !sequence.items().isEmpty() -> {
        for (YamlNode item : sequence.items()) {
          if (!(item instanceof YamlNode.Mapping mapping)) {
            throw new YamlException(where, "'<<' merges mappings, not " + item.what());
          }
          merged.add(mapping);
        }
      }
      default -> throw new YamlException(where, "'<<' merges mappings, not " + value.what());
    }
  }

  private static YamlNode.Scalar scalar(Location where, ScalarNode node) {
    Tag tag = node.getTag();
    YamlNode.Type type;
    if (tag.equals(Tag.NULL)) {
      type = YamlNode.Type.NULL;
    } else if (tag.equals(Tag.BOOL)) {
      type = YamlNode.Type.BOOLEAN;
    } else if (tag.equals(Tag.INT)) {
      type = YamlNode.Type.INTEGER;
    } else if (tag.equals(Tag.FLOAT)) {
      type = YamlNode.Type.DECIMAL;
    } else if (tag.equals(Tag.STR) || tag.equals(Tag.BINARY)) {
      type = YamlNode.Type.TEXT;
    } else {
      throw new YamlException(
          where, "the YAML tag " + tag.getValue() + " is not used in Kubernetes; remove it");
    }
    return new YamlNode.Scalar(where, type, node.getValue());
  }

  private Location where(Node node) {
    return new Location(file, document, line(node.getStartMark()));
  }

  private static int line(Optional<Mark> mark) {
    return mark.map(m -> m.getLine() + 1).orElse(1);
  }

  private static String reason(MarkedYamlEngineException e) {
    String problem = e.getProblem();
    String context = e.getContext();
    String text =
        problem == null || problem.isBlank() ? firstLine(e.getMessage()) : firstLine(problem);
    if (context != null && !context.isBlank()) {
      text = firstLine(context) + ", " + text;
    }
    if (text.contains("\\t(TAB)")) {
      text += "; indent with spaces, not tabs";
    }
    return text;
  }

  private static String firstLine(@Nullable String text) {
    if (text == null || text.isBlank()) {
      return "unreadable";
    }
    String line = text.strip().lines().findFirst().orElse("unreadable").strip();
    return line.isEmpty()
        ? line
        : line.substring(0, 1).toLowerCase(Locale.ROOT) + line.substring(1);
  }
}

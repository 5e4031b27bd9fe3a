package dev.weir.api.kube;

import java.util.List;
import java.util.Map;

/** Picks objects by their labels; one without any condition picks everything. */
public record LabelSelector(Map<String, String> matchLabels, List<Expression> matchExpressions) {
  public LabelSelector {
    matchLabels = Map.copyOf(matchLabels);
    matchExpressions = List.copyOf(matchExpressions);
  }

  public boolean matches(Map<String, String> labels) {
    for (Map.Entry<String, String> wanted : matchLabels.entrySet()) {
      if (!wanted.getValue().equals(labels.get(wanted.getKey()))) {
        return false;
      }
    }
    for (Expression expression : matchExpressions) {
      if (!expression.matches(labels)) {
        return false;
      }
    }
    return true;
  }

  /** How an expression compares. */
  public enum Operator {
    IN,
    NOT_IN,
    EXISTS,
    DOES_NOT_EXIST
  }

  /** One condition on one label. */
  public record Expression(String key, Operator operator, List<String> values) {
    public Expression {
      values = List.copyOf(values);
    }

    boolean matches(Map<String, String> labels) {
      String value = labels.get(key);
      return switch (operator) {
        case IN -> value != null && values.contains(value);
        case NOT_IN -> value == null || !values.contains(value);
        case EXISTS -> value != null;
        case DOES_NOT_EXIST -> value == null;
      };
    }
  }
}

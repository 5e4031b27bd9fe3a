package dev.weir.cli;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;

/**
 * Columns as wide as their widest cell, two blanks apart. Cells may hold colours, which take no
 * room.
 */
final class Table {
  private static final String GAP = "  ";

  private final List<List<String>> rows = new ArrayList<>();

  Table(String... titles) {
    rows.add(List.of(titles));
  }

  Table row(Object... cells) {
    rows.add(
        Arrays.stream(cells)
            .map(cell -> String.valueOf(cell).isEmpty() ? "-" : String.valueOf(cell))
            .toList());
    return this;
  }

  boolean isEmpty() {
    return rows.size() == 1;
  }

  String text() {
    List<Integer> widths = new ArrayList<>(Collections.nCopies(rows.getFirst().size(), 0));
    for (List<String> row : rows) {
      for (int column = 0; column < row.size(); column++) {
        widths.set(column, Math.max(widths.get(column), width(row.get(column))));
      }
    }
    StringBuilder text = new StringBuilder();
    for (List<String> row : rows) {
      StringBuilder line = new StringBuilder();
      for (int column = 0; column < row.size(); column++) {
        String cell = row.get(column);
        line.append(cell);
        if (column < row.size() - 1) {
          line.append(" ".repeat(widths.get(column) - width(cell))).append(GAP);
        }
      }
      text.append(line.toString().stripTrailing()).append('\n');
    }
    return text.toString();
  }

  private static int width(String cell) {
    int width = 0;
    boolean escaped = false;
    for (int i = 0; i < cell.length(); i++) {
      char next = cell.charAt(i);
      if (next == '\u001b') {
        escaped = true;
      } else if (escaped) {
        escaped = next != 'm';
      } else {
        width++;
      }
    }
    return width;
  }
}

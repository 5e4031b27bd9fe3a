package dev.weir.lab;

import java.util.regex.Pattern;

/** What a lab may be called: its name stands in names of files, cgroups and namespaces. */
final class LabNames {
  private static final Pattern NAME = Pattern.compile("[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?");

  private LabNames() {}

  static void check(String name) {
    if (!NAME.matcher(name).matches()) {
      throw new LabException(
          "lab name '"
              + name
              + "' (expected: at most 32 of a-z, 0-9 and -, beginning and ending with a letter or digit)");
    }
  }
}

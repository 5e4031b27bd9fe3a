package dev.weir.cli;

import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** {@code KIND/NAME} as kubectl takes it. */
record ObjectName(String kind, String name) {
  static final class Converter implements ITypeConverter<ObjectName> {
    @Override
    public ObjectName convert(String given) {
      int slash = given.indexOf('/');
      if (slash < 1 || slash == given.length() - 1) {
        throw new TypeConversionException(
            "'" + given + "' (expected: KIND/NAME, such as pod/web or deploy/web)");
      }
      return new ObjectName(given.substring(0, slash), given.substring(slash + 1));
    }
  }
}

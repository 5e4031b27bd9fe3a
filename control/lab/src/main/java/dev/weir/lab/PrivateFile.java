package dev.weir.lab;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;

/** For its owner's eyes, and whole or not at all. */
final class PrivateFile {
  private PrivateFile() {}

  static void write(Path file, String text) {
    Path fresh = file.resolveSibling("." + file.getFileName());
    try {
      Files.createDirectories(file.resolveSibling("."));
      Files.deleteIfExists(fresh);
      Files.createFile(
          fresh,
          PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
      Files.writeString(fresh, text);
      Files.move(fresh, file, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      throw new LabException(file + ": cannot be written: " + e.getMessage(), e);
    }
  }
}

package dev.weir.ffi;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;

/** Compiles the fixtures of src/test/bpf, each once a run. */
final class Clang {
  private static final Map<String, byte[]> COMPILED = new ConcurrentHashMap<>();

  private Clang() {}

  static byte[] compiled(String fixture) {
    return COMPILED.computeIfAbsent(fixture, Clang::compile);
  }

  private static byte[] compile(String fixture) {
    try {
      Path object = Files.createTempFile("weir-native-", ".o");
      // Debian keeps asm/ under the multiarch folder, where -target bpf does not look.
      Process clang =
          new ProcessBuilder(
                  "clang",
                  "-O2",
                  "-g",
                  "-target",
                  "bpf",
                  "-Wall",
                  "-Werror",
                  "-I/usr/include/"
                      + System.getProperty("os.arch").replace("amd64", "x86_64")
                      + "-linux-gnu",
                  "-c",
                  "src/test/bpf/" + fixture,
                  "-o",
                  object.toString())
              .redirectErrorStream(true)
              .start();
      try (var output = clang.inputReader(StandardCharsets.UTF_8)) {
        String said = String.join("\n", output.lines().toList());
        if (!clang.waitFor(60, TimeUnit.SECONDS) || clang.exitValue() != 0) {
          throw new IllegalStateException("clang %s:%n%s".formatted(fixture, said));
        }
      }
      byte[] elf = Files.readAllBytes(object);
      Files.delete(object);
      return elf;
    } catch (IOException e) {
      throw new IllegalStateException("clang is needed to compile " + fixture, e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException(e);
    }
  }
}

package dev.weir.ffi;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.ValueSource;

@ParameterizedClass
@ValueSource(strings = {"ffm", "jnr"})
class FilePagesContractTest {
  private static final int BYTES = 4 << 20;

  @Parameter String binding = "";
  @TempDir Path folder = Path.of("");

  @Test
  void aReadOnlyMappingLeavesMemoryAndReadsAsBefore() throws IOException {
    Path file = filled("read-only");
    try (FileChannel channel = FileChannel.open(file)) {
      MappedByteBuffer mapped = channel.map(FileChannel.MapMode.READ_ONLY, 0, BYTES);
      assertReads(mapped);
      assertThat(residentKib(file)).isEqualTo(BYTES / 1024);
      assertThat(Binding.named(binding).filePages().release()).isGreaterThanOrEqualTo(BYTES);
      assertThat(residentKib(file)).isZero();
      assertReads(mapped);
    }
  }

  @Test
  void whatWasWrittenToAPrivateMappingStays() throws IOException {
    Path file = filled("private");
    try (FileChannel channel =
        FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      MappedByteBuffer mapped = channel.map(FileChannel.MapMode.PRIVATE, 0, BYTES);
      mapped.put(BYTES / 2, (byte) 1);
      Binding.named(binding).filePages().release();
      assertThat(mapped.get(BYTES / 2)).isEqualTo((byte) 1);
    }
  }

  private Path filled(String name) throws IOException {
    byte[] bytes = new byte[BYTES];
    Arrays.fill(bytes, (byte) 7);
    return Files.write(folder.resolve(name), bytes);
  }

  private static void assertReads(MappedByteBuffer mapped) {
    for (int i = 0; i < BYTES; i += 512) {
      assertThat(mapped.get(i)).isEqualTo((byte) 7);
    }
  }

  private static long residentKib(Path file) throws IOException {
    List<String> lines = Files.readAllLines(Path.of("/proc/self/smaps"));
    boolean ours = false;
    for (String line : lines) {
      if (!line.endsWith("kB")) {
        ours = line.endsWith(file.toString());
      } else if (ours && line.startsWith("Rss:")) {
        return Long.parseLong(line.replaceAll("[^0-9]", ""));
      }
    }
    throw new IllegalStateException(file + " is not mapped");
  }
}

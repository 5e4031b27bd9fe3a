package dev.weir.ffi;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.weir.testing.NeedsKernel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

@NeedsKernel
class BindingTest {
  @Test
  void javaLangForeignIsTheDefaultAndJnrStaysOnDisk() throws Exception {
    assertThat(loading())
        .anyMatch(line -> line.equals("binding ffm"))
        .noneMatch(line -> line.contains(" jnr.") || line.contains(" com.kenai."));
  }

  @Test
  void jnrIsLoadedWhereItIsNamed() throws Exception {
    assertThat(loading("-Dweir.ffi=jnr"))
        .anyMatch(line -> line.equals("binding jnr"))
        .anyMatch(line -> line.contains(" jnr.ffi."));
  }

  @Test
  void anUnknownBindingIsAnErrorThatNamesTheTwo() {
    assertThatThrownBy(() -> Binding.named("jna"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("weir.ffi: jna (expected: ffm or jnr)");
  }

  @Test
  void everyErrnoOfTheKernelHasANameAndAText() {
    assertThat(Errno.name(Errno.ECONNREFUSED)).isEqualTo("ECONNREFUSED");
    assertThat(Errno.text(Errno.ECONNREFUSED)).isEqualTo("Connection refused");
    assertThat(Errno.name(Errno.ENOTSUPP)).isEqualTo("ENOTSUPP");
    assertThat(Errno.name(4711)).isEqualTo("errno 4711");
    assertThat(new KernelException("open", Errno.ENOENT, "/x").getMessage())
        .isEqualTo("open: ENOENT (No such file or directory): /x");
    assertThat(new KernelException("close", Errno.EBADF, ""))
        .hasMessage("close: EBADF (Bad file descriptor)");
  }

  /** The classes that a process loads which asks its binding for the version of libbpf. */
  private static List<String> loading(String... options) throws Exception {
    List<String> command =
        new ArrayList<>(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-Xlog:class+load",
                "-cp",
                System.getProperty("java.class.path")));
    command.addAll(List.of(options));
    command.add(Versions.class.getName());
    Process java = new ProcessBuilder(command).redirectErrorStream(true).start();
    try (var output = java.inputReader(StandardCharsets.UTF_8)) {
      List<String> lines = output.lines().toList();
      assertThat(java.waitFor(30, TimeUnit.SECONDS)).isTrue();
      assertThat(java.exitValue()).as(() -> String.join("\n", lines)).isZero();
      return lines;
    }
  }

  /** What the process of {@link #loading} runs. */
  static final class Versions {
    private Versions() {}

    static void main() {
      Kernel kernel = Kernel.instance();
      System.out.println("libbpf " + kernel.bpf().libbpfVersion());
      System.out.println("binding " + kernel.binding());
    }
  }
}

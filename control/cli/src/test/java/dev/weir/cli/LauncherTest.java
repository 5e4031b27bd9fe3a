package dev.weir.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The launcher on a checkout of its own, with a JDK and a build that are only files. */
@Timeout(60)
final class LauncherTest {
  private static final Path LAUNCHER = Path.of("../../weir").toAbsolutePath().normalize();

  @TempDir Path folder;

  private record Outcome(int status, String out, String err) {}

  @Test
  void withoutAJdk25ItSaysWhatToInstall() throws Exception {
    Outcome outcome =
        run(
            checkout(),
            Map.of(
                "PATH",
                "/usr/bin:/bin",
                "HOME",
                folder.toString(),
                "WEIR_JAVA_HOME",
                folder.toString()),
            folder,
            "version");
    assertThat(outcome.status).isEqualTo(1);
    assertThat(outcome.err).contains("WEIR_JAVA_HOME").contains("is not a JDK 25");
  }

  @Test
  void itRunsFromAnyFolderAndThroughSymlinks() throws Exception {
    Path checkout = checkout();
    Path first = Files.createSymbolicLink(folder.resolve("first"), checkout);
    Path second = Files.createSymbolicLink(folder.resolve("second"), Path.of("checkout/weir"));
    Path jdk = jdk("25.0.3");
    for (Path launcher : List.of(checkout, first, second)) {
      Outcome outcome =
          run(
              launcher,
              Map.of("WEIR_JAVA_HOME", jdk.toString()),
              Path.of("/"),
              "run",
              "shop",
              "cart",
              "two words");
      assertThat(outcome.err).isEmpty();
      assertThat(outcome.out)
          .contains(
              "-cp "
                  + checkout.resolveSibling("control/shop/target/weir-shop-0.1.0.jar")
                  + " dev.weir.shop.Main cart two words");
    }
  }

  @Test
  void aJdkOfAnotherVersionIsNotTaken() throws Exception {
    Outcome outcome =
        run(checkout(), Map.of("WEIR_JAVA_HOME", jdk("21.0.2").toString()), folder, "run", "shop");
    assertThat(outcome.status).isEqualTo(1);
    assertThat(outcome.err).contains("is not a JDK 25").hasLineCount(1);
  }

  @Test
  void aProgramThatIsNotBuiltIsSaidWithTheCommandThatBuildsIt() throws Exception {
    Outcome outcome =
        run(checkout(), Map.of("WEIR_JAVA_HOME", jdk("25.0.3").toString()), folder, "run", "agent");
    assertThat(outcome.status).isEqualTo(1);
    assertThat(outcome.err).contains("weir-agent-0.1.0.jar is not built").contains("weir build'");
  }

  @Test
  void anUnknownProgramIsSaidWithThoseThatAre() throws Exception {
    Outcome outcome =
        run(checkout(), Map.of("WEIR_JAVA_HOME", jdk("25.0.3").toString()), folder, "run", "baker");
    assertThat(outcome.err).contains("no program 'baker': one of agent");
  }

  @Test
  void theJvmGetsACacheOnlyWhereItIsNewerThanTheJars() throws Exception {
    Path checkout = checkout();
    Path jdk = jdk("25.0.3");
    Path cache = checkout.resolveSibling(".build/aot/shop.aot");
    Files.createDirectories(cache.getParent());
    Files.writeString(cache, "cache");
    Path jar = checkout.resolveSibling("control/shop/target/weir-shop-0.1.0.jar");
    Files.setLastModifiedTime(
        jar, java.nio.file.attribute.FileTime.fromMillis(System.currentTimeMillis() - 60_000));
    Files.setLastModifiedTime(
        jdk.resolve("release"),
        java.nio.file.attribute.FileTime.fromMillis(System.currentTimeMillis() - 60_000));
    assertThat(run(checkout, Map.of("WEIR_JAVA_HOME", jdk.toString()), folder, "run", "shop").out)
        .contains("-XX:AOTCache=" + cache);
    Files.setLastModifiedTime(
        jar, java.nio.file.attribute.FileTime.fromMillis(System.currentTimeMillis() + 60_000));
    assertThat(run(checkout, Map.of("WEIR_JAVA_HOME", jdk.toString()), folder, "run", "shop").out)
        .doesNotContain("AOTCache=");
  }

  @Test
  void execNamesWhatIsWrongWithoutStartingJava() throws Exception {
    Outcome outcome = run(checkout(), Map.of(), folder, "lab", "exec", "web");
    assertThat(outcome.status).isEqualTo(1);
    assertThat(outcome.err).contains("which pod and which command").hasLineCount(1);
  }

  @Test
  void testRefusesArgumentsItDoesNotKnow() throws Exception {
    Outcome outcome =
        run(
            checkout(),
            Map.of("WEIR_JAVA_HOME", jdk("25.0.3").toString()),
            folder,
            "test",
            "--fast");
    assertThat(outcome.status).isEqualTo(1);
    assertThat(outcome.err).contains("unknown argument '--fast'").hasLineCount(1);
  }

  @Test
  void testEndsWithTheSumOfAllReports() throws Exception {
    Outcome outcome = test("tests=\"7\" errors=\"0\" skipped=\"2\" failures=\"0\"", 0);
    assertThat(outcome.out.lines()).endsWith("7 passed, 0 failed, 2 skipped");
    assertThat(outcome.status).isZero();
  }

  @Test
  void testNamesWhatFailedAndEndsBadly() throws Exception {
    Outcome outcome = test("tests=\"7\" errors=\"1\" skipped=\"0\" failures=\"1\"", 1);
    assertThat(outcome.out.lines()).endsWith("7 passed, 2 failed, 0 skipped");
    assertThat(outcome.err).contains("ShopTest.itSells:12 no tea");
    assertThat(outcome.status).isEqualTo(1);
  }

  /**
   * A run whose Maven is a script that leaves two reports: this one, and one of two tests that
   * passed.
   */
  private Outcome test(String counts, int status) throws Exception {
    Path launcher = checkout();
    Path reports = launcher.resolveSibling("control/shop/target/surefire-reports");
    Path integration = launcher.resolveSibling("control/cli/target/failsafe-reports");
    Path stamp = launcher.resolveSibling(".build/stamp");
    Files.createDirectories(stamp.getParent());
    Files.writeString(stamp, "");
    Path programs = Files.createDirectories(folder.resolve("programs"));
    Path mvn = programs.resolve("mvn");
    Files.writeString(
        mvn,
        """
        #!/bin/sh
        mkdir -p %1$s %2$s
        printf '<?xml version="1.0"?>\n<testsuite name="a"\n  time="1" %3$s>\n<testcase name="tests=99"/></testsuite>' > %1$s/TEST-a.xml
        printf '<testsuite name="b" tests="2" errors="0" skipped="0" failures="0"/>' > %2$s/TEST-b.xml
        echo '[ERROR]   ShopTest.itSells:12 no tea'
        exit %4$d
        """
            .formatted(reports, integration, counts, status));
    assertThat(mvn.toFile().setExecutable(true)).isTrue();
    return run(
        launcher,
        Map.of(
            "WEIR_JAVA_HOME",
            jdk("25.0.3").toString(),
            "PATH",
            programs + ":" + System.getenv("PATH"),
            "CI",
            "false"),
        folder,
        "test");
  }

  private Path checkout() throws IOException {
    Path home = Files.createDirectories(folder.resolve("checkout"));
    Path launcher = home.resolve("weir");
    if (!Files.exists(launcher)) {
      Files.copy(LAUNCHER, launcher, java.nio.file.StandardCopyOption.COPY_ATTRIBUTES);
      Path target = Files.createDirectories(home.resolve("control/shop/target"));
      Files.writeString(target.resolve("weir-shop-0.1.0.jar"), "jar");
    }
    return launcher;
  }

  /** A java that only says how it was called. */
  private Path jdk(String version) throws IOException {
    Path home = folder.resolve("jdk-" + version);
    Files.createDirectories(home.resolve("bin"));
    Files.writeString(
        home.resolve("release"), "IMPLEMENTOR=\"x\"\nJAVA_VERSION=\"" + version + "\"\n");
    for (String program : List.of("java", "javac")) {
      Path file = home.resolve("bin").resolve(program);
      Files.writeString(file, "#!/bin/sh\necho \"$@\"\n");
      assertThat(file.toFile().setExecutable(true)).isTrue();
    }
    return home;
  }

  private Outcome run(
      Path launcher, Map<String, String> environment, Path from, String... arguments)
      throws IOException, InterruptedException {
    File out = folder.resolve("out").toFile();
    File err = folder.resolve("err").toFile();
    ProcessBuilder builder =
        new ProcessBuilder(launcher.toString())
            .directory(from.toFile())
            .redirectOutput(out)
            .redirectError(err);
    builder.command().addAll(List.of(arguments));
    builder.environment().remove("WEIR_JAVA_OPTS");
    builder.environment().putAll(environment);
    Process process = builder.start();
    assertThat(process.waitFor(30, TimeUnit.SECONDS)).isTrue();
    return new Outcome(
        process.exitValue(),
        Files.readString(out.toPath(), StandardCharsets.UTF_8),
        Files.readString(err.toPath(), StandardCharsets.UTF_8));
  }
}

package dev.weir.control.source;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.weir.control.log.Log;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.time.InstantSource;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class DirectorySourceTest {
  private static final String ACCOUNT =
      "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: %s}\n";

  private final ByteArrayOutputStream logged = new ByteArrayOutputStream();
  private final Log log =
      new Log(
          new PrintStream(logged, true, StandardCharsets.UTF_8), InstantSource.system(), "source");
  private final List<Catalog> catalogs = new CopyOnWriteArrayList<>();
  private final Path directory;
  private DirectorySource source;

  DirectorySourceTest(@TempDir Path directory) throws IOException {
    this.directory = directory.resolve("state");
    Files.createDirectory(this.directory);
    write("a.yaml", ACCOUNT.formatted("first"));
    source = DirectorySource.open(this.directory, catalogs::add, log);
  }

  @AfterEach
  void close() throws IOException {
    source.close();
  }

  @Test
  void what_is_there_is_read_first() {
    expect(List.of("first"), List.of());
  }

  @Test
  void a_renamed_file_is_seen_a_changed_one_replaces_a_deleted_one_takes_its_objects_along()
      throws IOException {
    write("b.yaml", ACCOUNT.formatted("second"));
    expect(List.of("first", "second"), List.of());
    write("b.yaml", ACCOUNT.formatted("third") + "---\n" + ACCOUNT.formatted("fourth"));
    expect(List.of("first", "third", "fourth"), List.of());
    Files.delete(directory.resolve("a.yaml"));
    expect(List.of("third", "fourth"), List.of());
  }

  @Test
  void a_file_written_in_place_is_seen() throws IOException {
    Files.writeString(directory.resolve("a.yaml"), ACCOUNT.formatted("other"));
    expect(List.of("other"), List.of());
  }

  @Test
  void a_bad_file_leaves_its_last_good_version_in_force() throws IOException {
    write("b.yaml", ACCOUNT.formatted("second"));
    expect(List.of("first", "second"), List.of());

    write("b.yaml", ACCOUNT.formatted("third") + "---\nkind: ServiceAccnt\napiVersion: v1\n");
    expect(
        List.of("first", "second"),
        List.of(
            "b.yaml:5 (document 2): kind ServiceAccnt (v1) is unknown to Weir; did you mean ServiceAccount?"));
    assertThat(logged.toString(StandardCharsets.UTF_8))
        .contains("ERROR source: ")
        .contains("b.yaml:5");

    write("b.yaml", "{");
    expect(List.of("first", "second"), List.of("b.yaml:1: not valid YAML"));

    write("b.yaml", ACCOUNT.formatted("third"));
    expect(List.of("first", "third"), List.of());
    assertThat(logged.toString(StandardCharsets.UTF_8)).contains("no longer wrong");
  }

  @Test
  void a_file_that_is_not_text_is_named() throws IOException {
    Files.write(directory.resolve("x.yaml"), new byte[] {(byte) 0xff, (byte) 0xfe, 0, 1});
    expect(List.of("first"), List.of("x.yaml:1: is not UTF-8 text"));
  }

  @Test
  void other_files_and_hidden_ones_are_left_alone() throws IOException {
    write("notes.txt", "kind: Nonsense");
    write(".b.yaml", "kind: Nonsense");
    Files.createDirectory(directory.resolve("dir.yaml"));
    write(
        "b.json",
        "{\"apiVersion\":\"v1\",\"kind\":\"ServiceAccount\",\"metadata\":{\"name\":\"json\"}}");
    expect(List.of("first", "json"), List.of());
  }

  @Test
  void an_object_that_two_files_have_stays_as_the_first_has_it() throws IOException {
    write("b.yaml", ACCOUNT.formatted("first") + "---\n" + ACCOUNT.formatted("second"));
    expect(
        List.of("first", "second"),
        List.of("b.yaml:1: ServiceAccount default/first is already in "));
    Files.delete(directory.resolve("a.yaml"));
    expect(List.of("first", "second"), List.of());
  }

  @Test
  void a_directory_that_goes_and_comes_back_changes_nothing_until_it_is_read_again()
      throws IOException {
    expect(List.of("first"), List.of());
    Path aside = directory.resolveSibling("aside");
    Files.move(directory, aside);
    Files.delete(aside.resolve("a.yaml"));
    Files.delete(aside);
    expect(List.of("first"), List.of("cannot be read: there is none"));

    Files.createDirectory(directory);
    write("b.yaml", ACCOUNT.formatted("second"));
    expect(List.of("second"), List.of());
  }

  @Test
  void a_directory_that_is_not_there_is_an_error_that_says_what_to_do() {
    Path none = directory.resolve("none");
    assertThatThrownBy(() -> DirectorySource.open(none, catalogs::add, log))
        .isInstanceOf(SourceException.class)
        .hasMessage(
            "source directory "
                + none
                + ": there is none; make it, or name another by --source-dir");
  }

  private void write(String name, String text) throws IOException {
    Path temporary = directory.resolveSibling(name + ".tmp");
    Files.writeString(temporary, text);
    Files.move(temporary, directory.resolve(name), StandardCopyOption.ATOMIC_MOVE);
  }

  private void expect(List<String> names, List<String> problems) {
    await()
        .atMost(Duration.ofSeconds(10))
        .untilAsserted(() -> {
          assertThat(catalogs).isNotEmpty();
          Catalog last = catalogs.getLast();
          assertThat(last.objects()).extracting(object -> object.name()).isEqualTo(names);
          assertThat(last.problems()).hasSameSizeAs(problems);
          for (int i = 0; i < problems.size(); i++) {
            assertThat(last.problems().get(i).toString()).contains(problems.get(i));
          }
        });
  }
}

package dev.weir.control.source;

import dev.weir.api.kube.KubeObject;
import dev.weir.api.kube.Manifest;
import dev.weir.api.kube.Manifests;
import dev.weir.api.yaml.Location;
import dev.weir.api.yaml.Problem;
import dev.weir.control.log.Log;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.AccessDeniedException;
import java.nio.file.ClosedWatchServiceException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.nio.file.StandardWatchEventKinds;
import java.nio.file.WatchEvent;
import java.nio.file.WatchKey;
import java.nio.file.WatchService;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Follows a directory of Kubernetes YAML. A file counts as a whole: if anything in it is wrong, its
 * last good version stays in force and the problem is reported until a good one comes. Writers
 * should rename a finished file into place; one that is read half written is wrong for a moment,
 * and does no harm for the same reason.
 */
public final class DirectorySource implements AutoCloseable {
  /**
   * Long enough to take a burst of renames as one change, short against the second in which a
   * change must act.
   */
  private static final long QUIET_MILLIS = 5;

  /** A writer that never pauses must not hold changes back for ever. */
  private static final long MOST_MILLIS = 100;

  /**
   * Inotify may lose events (queue overflow is told, network file systems are not): look at
   * everything now and then.
   */
  private static final long RESCAN_MILLIS = 30_000;

  private static final long LOST_DIRECTORY_MILLIS = 500;
  private static final long MAX_FILE_BYTES = 256L << 20;
  private static final long CLOSE_MILLIS = 2_000;

  private final Path directory;
  private final Consumer<Catalog> listener;
  private final Log log;
  private final WatchService watch;
  private final Thread thread;

  // All below belongs to the thread.
  private final TreeMap<String, FileState> files = new TreeMap<>();
  private @Nullable Problem directoryProblem;
  private Set<Problem> logged = Set.of();

  private DirectorySource(Path directory, WatchService watch, Consumer<Catalog> listener, Log log) {
    this.directory = directory;
    this.listener = listener;
    this.log = log;
    this.watch = watch;
    this.thread = Thread.ofPlatform().name("source").daemon().unstarted(this::run);
  }

  /** A file as last looked at. {@code inForce} are the objects of its last good version. */
  private record FileState(@Nullable Print print, List<Manifest> inForce, List<Problem> problems) {}

  /** What tells one version of a file from another without reading it. */
  private record Print(FileTime modified, long size, @Nullable Object inode) {}

  /**
   * Starts following.
   *
   * @param listener is called on the source's thread, first with what is there now
   * @throws SourceException if there is no such directory
   */
  public static DirectorySource open(Path directory, Consumer<Catalog> listener, Log log) {
    WatchService watch;
    try {
      watch = directory.getFileSystem().newWatchService();
    } catch (IOException e) {
      throw new SourceException(
          "cannot watch files: "
              + e.getMessage()
              + "; raise fs.inotify.max_user_instances or stop other watchers",
          e);
    }
    DirectorySource source = new DirectorySource(directory, watch, listener, log);
    try {
      source.register();
    } catch (IOException e) {
      try {
        watch.close();
      } catch (IOException suppressed) {
        e.addSuppressed(suppressed);
      }
      throw new SourceException(
          "source directory "
              + directory
              + ": "
              + reason(e)
              + "; make it, or name another by --source-dir",
          e);
    }
    source.thread.start();
    return source;
  }

  @Override
  public void close() throws IOException {
    watch.close();
    try {
      thread.join(CLOSE_MILLIS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void register() throws IOException {
    directory.register(
        watch,
        StandardWatchEventKinds.ENTRY_CREATE,
        StandardWatchEventKinds.ENTRY_MODIFY,
        StandardWatchEventKinds.ENTRY_DELETE);
  }

  private void run() {
    try {
      scanAll();
      hand();
      while (true) {
        if (follow()) {
          hand();
        }
      }
    } catch (ClosedWatchServiceException e) {
      log.info("source closed", "dir", directory);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** Waits for events, takes in what they name, and says whether anything changed. */
  private boolean follow() throws InterruptedException {
    if (directoryProblem != null) {
      return findAgain();
    }
    WatchKey key = watch.poll(RESCAN_MILLIS, TimeUnit.MILLISECONDS);
    if (key == null) {
      return scanAll();
    }
    Set<String> touched = new HashSet<>();
    boolean everything = false;
    long start = System.nanoTime();
    while (key != null) {
      for (WatchEvent<?> event : key.pollEvents()) {
        // A mounted ConfigMap changes by renaming the link "..data", behind which all its files
        // stand.
        if (event.context() instanceof Path name && !name.toString().startsWith("..")) {
          touched.add(name.toString());
        } else {
          everything = true;
        }
      }
      if (!key.reset()) {
        return lost(new NoSuchFileException(directory.toString()));
      }
      boolean enough = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start) >= MOST_MILLIS;
      key = enough ? null : watch.poll(QUIET_MILLIS, TimeUnit.MILLISECONDS);
    }
    if (everything) {
      return scanAll();
    }
    boolean changed = false;
    for (String name : touched) {
      changed |= wanted(name) && look(name, directory.resolve(name), true);
    }
    return changed;
  }

  private boolean lost(IOException e) {
    directoryProblem =
        new Problem(
            new Location(directory.toString(), 1, 1),
            "cannot be read: "
                + reason(e)
                + "; what was read before stays in force until it is back");
    return true;
  }

  private boolean findAgain() throws InterruptedException {
    // The old watch died with the directory; its key may still report that.
    WatchKey stale = watch.poll(LOST_DIRECTORY_MILLIS, TimeUnit.MILLISECONDS);
    if (stale != null) {
      stale.reset();
    }
    if (!Files.isDirectory(directory)) {
      return false;
    }
    try {
      register();
    } catch (IOException e) {
      return false;
    }
    directoryProblem = null;
    log.info("source directory is back", "dir", directory);
    scanAll();
    return true;
  }

  private boolean scanAll() {
    Set<String> seen = new HashSet<>();
    boolean changed = false;
    try (DirectoryStream<Path> entries = Files.newDirectoryStream(directory)) {
      for (Path entry : entries) {
        String name = String.valueOf(entry.getFileName());
        if (wanted(name)) {
          seen.add(name);
          changed |= look(name, entry, false);
        }
      }
    } catch (IOException | DirectoryIteratorException e) {
      return lost(e instanceof IOException io ? io : new IOException(e.getMessage(), e));
    }
    changed |= files.keySet().retainAll(seen);
    return changed;
  }

  private static boolean wanted(String name) {
    return !name.startsWith(".")
        && (name.endsWith(".yaml") || name.endsWith(".yml") || name.endsWith(".json"));
  }

  /**
   * Reads a file if it is not the version that is known; says whether that changed anything.
   *
   * @param told an event named the file: times are too coarse to tell two writes of the same moment
   *     apart
   */
  private boolean look(String name, Path path, boolean told) {
    FileState known = files.get(name);
    try {
      BasicFileAttributes attributes = Files.readAttributes(path, BasicFileAttributes.class);
      if (!attributes.isRegularFile()) {
        return false;
      }
      Print print =
          new Print(attributes.lastModifiedTime(), attributes.size(), attributes.fileKey());
      if (!told && known != null && print.equals(known.print())) {
        return false;
      }
      if (print.size() > MAX_FILE_BYTES) {
        return unreadable(
            name,
            path,
            known,
            print,
            "is larger than " + (MAX_FILE_BYTES >> 20) + " MiB; split it");
      }
      Manifests.Result result = Manifests.read(path.toString(), Files.readString(path));
      if (result.problems().isEmpty()) {
        files.put(name, new FileState(print, result.manifests(), List.of()));
      } else {
        files.put(
            name,
            new FileState(print, known == null ? List.of() : known.inForce(), result.problems()));
      }
      return true;
    } catch (NoSuchFileException e) {
      return files.remove(name) != null;
    } catch (CharacterCodingException e) {
      return unreadable(name, path, known, null, "is not UTF-8 text; save it as such");
    } catch (IOException e) {
      return unreadable(name, path, known, null, "cannot be read: " + reason(e));
    }
  }

  private boolean unreadable(
      String name, Path path, @Nullable FileState known, @Nullable Print print, String why) {
    List<Problem> problems = List.of(new Problem(new Location(path.toString(), 1, 1), why));
    if (known != null && known.problems().equals(problems)) {
      return false;
    }
    files.put(name, new FileState(print, known == null ? List.of() : known.inForce(), problems));
    return true;
  }

  /** Puts all files together and hands them over. */
  private void hand() {
    List<KubeObject> objects = new ArrayList<>();
    List<Problem> problems = new ArrayList<>();
    Map<String, Location> seen = new HashMap<>();
    if (directoryProblem != null) {
      problems.add(directoryProblem);
    }
    for (FileState file : files.values()) {
      problems.addAll(file.problems());
      for (Manifest manifest : file.inForce()) {
        Location earlier = seen.putIfAbsent(manifest.object().key(), manifest.where());
        if (earlier == null) {
          objects.add(manifest.object());
        } else {
          problems.add(
              new Problem(
                  manifest.where(),
                  manifest.object().key()
                      + " is already in "
                      + earlier
                      + ", which stays in force; remove one"));
        }
      }
    }
    Set<Problem> now = new HashSet<>(problems);
    for (Problem problem : problems) {
      if (!logged.contains(problem)) {
        log.error(problem.toString());
      }
    }
    for (Problem problem : logged) {
      if (!now.contains(problem)) {
        log.info("no longer wrong", "was", problem);
      }
    }
    logged = now;
    listener.accept(new Catalog(objects, problems));
  }

  private static String reason(IOException e) {
    return switch (e) {
      case NoSuchFileException _ -> "there is none";
      case NotDirectoryException _ -> "it is not a directory";
      case AccessDeniedException _ -> "no permission";
      default -> String.valueOf(e.getMessage());
    };
  }
}

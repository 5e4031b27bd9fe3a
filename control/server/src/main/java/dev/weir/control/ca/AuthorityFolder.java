package dev.weir.control.ca;

import dev.weir.control.log.Log;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The authority's files, made at first start where they are Weir's own, and read again when they
 * change. To change roots without a gap: add the new root to the roots' file, wait until every node
 * has it, put the new key and certificate in place, and take the old root away when the last
 * certificate under it has expired. Nothing is restarted. While files do not fit together, such as
 * between two renames, the former authority stays in force.
 */
final class AuthorityFolder {
  private record Print(@Nullable FileTime modified, long size, @Nullable Object inode) {}

  private final AuthorityFiles files;
  private final InstantSource clock;
  private final Log log;
  private List<Print> seen = List.of();
  private volatile String problem = "";
  private volatile Authority current;

  private AuthorityFolder(AuthorityFiles files, InstantSource clock, Log log) {
    this.files = files;
    this.clock = clock;
    this.log = log;
    if (files.own() && !Files.exists(files.certificate())) {
      make();
    }
    warnIfOpen();
    this.seen = prints();
    this.current = Authority.load(files, clock.instant());
  }

  /** Throws {@link CaException} where there is no usable authority. */
  static AuthorityFolder open(AuthorityFiles files, InstantSource clock, Log log) {
    return new AuthorityFolder(files, clock, log);
  }

  Authority current() {
    return current;
  }

  /** Whether the files changed to something good. One thread. */
  boolean look() {
    List<Print> now = prints();
    if (now.equals(seen)) {
      return false;
    }
    try {
      Authority next = Authority.load(files, clock.instant());
      seen = now;
      problem = "";
      if (next.fingerprint().equals(current.fingerprint())) {
        return false;
      }
      current = next;
      log.info(
          "signing certificate or roots changed",
          "signing",
          next.signing().getSubjectX500Principal(),
          "roots",
          next.roots().size());
      return true;
    } catch (CaException e) {
      // Asked again at the next look: a key and its certificate are two renames.
      if (!problem.equals(e.getMessage())) {
        problem = String.valueOf(e.getMessage());
        log.error("the CA's files cannot be used; the former stay in force", "reason", problem);
      }
      return false;
    }
  }

  /** What is wrong with the files now, empty where nothing is. */
  String problem() {
    return problem;
  }

  private List<Print> prints() {
    List<Print> prints = new ArrayList<>(3);
    for (Path file : List.of(files.certificate(), files.key(), files.roots())) {
      try {
        BasicFileAttributes attributes = Files.readAttributes(file, BasicFileAttributes.class);
        prints.add(
            new Print(attributes.lastModifiedTime(), attributes.size(), attributes.fileKey()));
      } catch (IOException e) {
        prints.add(new Print(null, -1, null));
      }
    }
    return prints;
  }

  private void make() {
    Authority fresh = Authority.create(clock.instant());
    try {
      Path folder = files.certificate().toAbsolutePath().getParent();
      if (folder != null) {
        Files.createDirectories(folder);
      }
      // The certificate last: it says that the others are whole.
      write(files.key(), "rw-------", Pem.text("PRIVATE KEY", fresh.key().getEncoded()));
      write(files.roots(), "rw-r--r--", Pem.text(fresh.roots()));
      write(files.certificate(), "rw-r--r--", Pem.text(fresh.signing()));
    } catch (IOException e) {
      throw new CaException(
          files.certificate() + ": a root of Weir's own cannot be kept: " + e.getMessage(), e);
    }
    log.info("made a root certificate", "file", files.certificate(), "until", fresh.end());
  }

  private static void write(Path file, String permissions, String text) throws IOException {
    Path fresh = file.resolveSibling("." + file.getFileName() + ".new");
    Files.deleteIfExists(fresh);
    try (FileChannel out =
        FileChannel.open(
            fresh,
            Set.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE),
            PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString(permissions)))) {
      ByteBuffer bytes = StandardCharsets.US_ASCII.encode(text);
      while (bytes.hasRemaining()) {
        out.write(bytes);
      }
      out.force(true);
    }
    Files.move(fresh, file, StandardCopyOption.ATOMIC_MOVE);
  }

  private void warnIfOpen() {
    try {
      Set<PosixFilePermission> permissions = Files.getPosixFilePermissions(files.key());
      if (permissions.contains(PosixFilePermission.OTHERS_READ)) {
        log.warn(
            "the CA's key can be read by everybody on this machine; chmod 600 it",
            "file",
            files.key());
      }
    } catch (IOException | UnsupportedOperationException e) {
      // Whether the key is there at all is what loading tells.
      log.info("permissions of the CA's key are not known", "file", files.key());
    }
  }
}

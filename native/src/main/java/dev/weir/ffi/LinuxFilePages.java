package dev.weir.ffi;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;

final class LinuxFilePages implements FilePages {
  private static final Path SMAPS = Path.of("/proc/self/smaps");
  private static final long LEAST_BYTES = 1 << 20;
  private static final int MADV_DONTNEED = 4;

  private final Calls calls;

  LinuxFilePages(Calls calls) {
    this.calls = calls;
  }

  @Override
  public long release() {
    long released = 0;
    long start = 0;
    long bytes = 0;
    long resident = 0;
    try {
      // proc_pid_smaps(5): a line as in maps(5), then "Name: value kB" lines of that mapping.
      for (String line : Files.readAllLines(SMAPS)) {
        if (!line.endsWith("kB")) {
          bytes = lengthOfFileMapping(line);
          start = bytes == 0 ? 0 : Long.parseUnsignedLong(line, 0, line.indexOf('-'), 16);
        } else if (line.startsWith("Rss:")) {
          resident = kib(line) * 1024;
        } else if (line.startsWith("Anonymous:") && kib(line) == 0 && bytes > 0 && resident > 0) {
          // Relocated pages of a library are read-only too, but only this process has them.
          long result = calls.call(Function.MADVISE, start, bytes, MADV_DONTNEED);
          if (result < 0) {
            throw new KernelException("madvise", (int) -result, "MADV_DONTNEED");
          }
          released += resident;
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return released;
  }

  /** 0 where the line is no mapping that qualifies. */
  private static long lengthOfFileMapping(String line) {
    int dash = line.indexOf('-');
    int end = line.indexOf(' ');
    int path = line.indexOf('/');
    if (dash < 0 || end < dash || path < end || line.charAt(path - 1) != ' ') {
      return 0;
    }
    boolean readOnly = line.charAt(end + 1) == 'r' && line.charAt(end + 2) == '-';
    if (!readOnly || line.startsWith("/dev/", path) || line.startsWith("/memfd:", path)) {
      return 0;
    }
    long length =
        Long.parseUnsignedLong(line, dash + 1, end, 16) - Long.parseUnsignedLong(line, 0, dash, 16);
    return length < LEAST_BYTES ? 0 : length;
  }

  private static long kib(String line) {
    return Long.parseLong(line.substring(line.indexOf(':') + 1, line.length() - 2).strip());
  }
}

package dev.weir.cli;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** What the shop's load says of itself, once a second, in its log. */
record LoadCounts(long served, long failed, String lastFailure) {
  private static final Pattern LINE =
      Pattern.compile("served=(\\d+) failed=(\\d+) open=\\w+(?: last-failure=(.*))?");

  /** Room for some seconds of lines, whatever the load complains of between them. */
  private static final int TAIL_BYTES = 64 * 1024;

  static LoadCounts last(Path log) throws IOException {
    try (FileChannel channel = FileChannel.open(log, StandardOpenOption.READ)) {
      ByteBuffer tail = ByteBuffer.allocate(TAIL_BYTES);
      channel.read(tail, Math.max(0, channel.size() - TAIL_BYTES));
      return in(new String(tail.array(), 0, tail.position(), StandardCharsets.UTF_8));
    }
  }

  static LoadCounts in(String text) {
    LoadCounts last = new LoadCounts(0, 0, "");
    Matcher line = LINE.matcher(text);
    while (line.find()) {
      String failure = line.group(3);
      last =
          new LoadCounts(
              Long.parseLong(line.group(1)),
              Long.parseLong(line.group(2)),
              failure == null ? "" : failure);
    }
    return last;
  }
}

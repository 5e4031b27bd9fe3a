package dev.weir.cli;

import dev.weir.lab.LabClient;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.Callable;
import java.util.concurrent.locks.LockSupport;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "logs",
    mixinStandardHelpOptions = true,
    description = "Print what a pod, an agent, the control plane or the lab itself wrote.",
    footer = {
      "",
      "Examples:",
      "  weir lab logs -n shop front",
      "  weir lab logs agent/node-1 -f",
      "  weir lab logs control"
    })
final class LogsCommand implements Callable<Integer> {
  private static final long LOOK_AGAIN_NANOS = 200_000_000L;

  @Mixin LabOption lab = new LabOption();
  @Mixin NamespaceOption namespace = new NamespaceOption();

  @Parameters(paramLabel = "POD|agent/NODE|control|lab", description = "Whose log.")
  String target = "";

  @Option(
      names = {"-c", "--container"},
      paramLabel = "CONTAINER",
      defaultValue = "",
      description = "Which container of the pod; the first, if not said.")
  String container = "";

  @Option(
      names = {"-f", "--follow"},
      description = "Go on until interrupted.")
  boolean follow;

  private final Output output;

  LogsCommand(Output output) {
    this.output = output;
  }

  @Override
  public Integer call() throws IOException {
    LabClient client = lab.lab();
    Path log = client.log(namespace.namespace, target, container);
    ByteBuffer in = ByteBuffer.allocate(64 * 1024);
    try (FileChannel channel = FileChannel.open(log, StandardOpenOption.READ)) {
      while (true) {
        if (channel.size() < channel.position()) {
          // Written anew from its start.
          channel.position(0);
        }
        int count = channel.read(in.clear());
        if (count > 0) {
          // Bytes as they are: a chunk may end inside a character.
          output.flush();
          System.out.write(in.array(), 0, count);
          System.out.flush();
        } else if (!follow || System.out.checkError()) {
          return 0;
        } else {
          LockSupport.parkNanos(LOOK_AGAIN_NANOS);
        }
      }
    }
  }
}

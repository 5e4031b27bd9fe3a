package dev.weir.control;

import dev.weir.control.log.Log;
import java.nio.file.Path;
import java.time.InstantSource;
import java.util.Arrays;
import java.util.concurrent.CountDownLatch;

/** The control plane's program. */
public final class Main {
  private static final int FAILED = 1;
  private static final int MISUSED = 2;

  private Main() {}

  public static void main(String[] args) throws Exception {
    if (Arrays.asList(args).contains("--help")) {
      System.out.print(ControlOptions.USAGE);
      return;
    }
    InstantSource clock = InstantSource.system();
    Log log = new Log(System.err, clock, "control");
    if (args.length == 2 && args[0].equals("--train")) {
      if (!Rehearsal.run(Path.of(args[1]), clock, log)) {
        System.err.println("control: the rehearsal did not come to its end");
        System.exit(FAILED);
      }
      return;
    }
    ControlPlane plane;
    try {
      plane = ControlPlane.start(ControlOptions.parse(args), clock, log);
    } catch (ControlOptions.UsageException e) {
      System.err.println("control: " + e.getMessage());
      System.exit(MISUSED);
      return;
    } catch (ControlPlane.StartException e) {
      System.err.println("control: " + e.getMessage());
      System.exit(FAILED);
      return;
    }
    Runtime.getRuntime()
        .addShutdownHook(
            Thread.ofPlatform()
                .name("stop")
                .unstarted(() -> {
                  plane.close();
                  log.info("stopped");
                }));
    // Every other thread is a daemon; a signal ends the process through the hook.
    new CountDownLatch(1).await();
  }
}

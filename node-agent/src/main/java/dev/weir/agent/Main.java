package dev.weir.agent;

import dev.weir.agent.admin.Admin;
import dev.weir.agent.admin.AdminOptions;
import dev.weir.agent.capture.CaptureException;
import dev.weir.agent.identity.ControlLine;
import dev.weir.agent.log.Log;
import dev.weir.agent.log.Logs;
import dev.weir.agent.transport.PodSockets;
import dev.weir.agent.transport.Transport;
import dev.weir.ffi.Kernel;
import dev.weir.ffi.KernelException;
import io.netty.util.internal.logging.InternalLoggerFactory;
import io.netty.util.internal.logging.JdkLoggerFactory;
import java.io.UncheckedIOException;
import java.time.InstantSource;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/** The node agent's process. */
public final class Main {
  // By then the self-test is over, and what is touched from now on is what an agent needs at work.
  private static final long STARTED_NANOS = TimeUnit.SECONDS.toNanos(3);

  private static final int FAILED = 1;
  private static final int MISUSED = 2;
  private static final String LEAKS = "io.netty.leakDetection.level";

  private Main() {}

  public static void main(String[] arguments) {
    long startNanos = System.nanoTime();
    List<String> given = List.of(arguments);
    if (given.contains("--help") || given.contains("-h")) {
      System.out.print(Options.USAGE);
      return;
    }
    try {
      keepNettySmall();
      Options options = Options.parse(given, Runtime.getRuntime().availableProcessors());
      System.setProperty("io.netty.allocator.numDirectArenas", Integer.toString(options.workers()));
      Logs logs = new Logs(System.err, InstantSource.system(), options.logLevel());
      if (options.selfTestOnly()) {
        System.exit(new Rehearsal(options, logs).run() ? 0 : FAILED);
      }
      serve(options, logs, startNanos);
    } catch (Options.UsageException e) {
      fail(e, MISUSED);
    } catch (CaptureException
        | KernelException
        | Admin.AdminException
        | ControlLine.UnavailableException
        | Transport.UnavailableException
        | PodSockets.SocketException e) {
      fail(e, FAILED);
    }
  }

  private static void fail(RuntimeException why, int status) {
    System.err.println("weir agent: " + why.getMessage());
    System.exit(status);
  }

  /**
   * Netty reads these once, some of them when its first class is loaded, which reading the options
   * does; only the number of arenas waits for those. One chunk of 512 KiB a loop in place of 4 MiB,
   * and no heap arena that only gRPC would use: some 10 MiB of an idle agent. A loop keeps a few
   * buffers of the size that streams are read into: an arena frees a chunk with its last buffer,
   * and a loop that reads for one stream made, zeroed and freed one for each read. Nobody reads its
   * flight recorder events, for which a first buffer starts the recorder, or the machine's part of
   * a channel's id, and both cost start-up.
   */
  private static void keepNettySmall() {
    System.setProperty("io.netty.allocator.type", "pooled");
    System.setProperty("io.netty.allocator.numHeapArenas", "1");
    System.setProperty("io.netty.allocator.maxOrder", "6");
    System.setProperty("io.netty.allocator.maxCachedBufferCapacity", "131072");
    System.setProperty("io.netty.allocator.normalCacheSize", "4");
    System.setProperty("io.netty.allocator.useCacheForAllThreads", "false");
    System.setProperty("io.netty.jfr.enabled", "false");
    // Else it looks in every jar for three other ones.
    InternalLoggerFactory.setDefaultFactory(JdkLoggerFactory.INSTANCE);
    System.setProperty("io.netty.machineId", "02:00:00:00:00:01");
    // Every 128th buffer would bring a stack trace; tests look for leaks, with every buffer.
    if (System.getProperty(LEAKS) == null) {
      System.setProperty(LEAKS, "disabled");
    }
  }

  /**
   * Starting reads all of the class cache and much of the JVM, and little of that ever again: half
   * of an idle agent's resident memory was pages of files that nobody looked at.
   */
  private static void releaseStart(Kernel kernel, Log log) {
    long from = System.nanoTime();
    while (System.nanoTime() - from < STARTED_NANOS) {
      LockSupport.parkNanos(STARTED_NANOS);
    }
    try {
      log.debug("file pages of the start are given back", "bytes", kernel.filePages().release());
    } catch (KernelException | UncheckedIOException e) {
      log.warn("file pages of the start are kept", "reason", String.valueOf(e.getMessage()));
    }
  }

  private static void serve(Options options, Logs logs, long startNanos) {
    Kernel kernel = Kernel.instance();
    Agent agent =
        new Agent(
            options,
            AdminOptions.standard(options.node(), Agent.VERSION, options.adminSocket()),
            kernel,
            logs,
            () -> Thread.ofPlatform().name("quit").start(() -> System.exit(0)));
    Runtime.getRuntime()
        .addShutdownHook(
            Thread.ofPlatform()
                .name("drain")
                .unstarted(() -> {
                  agent.drain(options.drain(), options.drainAlone());
                  agent.close();
                }));
    agent.awaitReady(startNanos);
    releaseStart(kernel, logs.room("agent"));
    while (true) {
      // The rooms have their own threads; the end comes by signal or by the admin door.
      LockSupport.park();
    }
  }
}

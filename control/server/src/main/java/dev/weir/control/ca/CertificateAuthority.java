package dev.weir.control.ca;

import dev.weir.api.json.Json;
import dev.weir.api.model.MeshModel;
import dev.weir.control.log.Log;
import dev.weir.control.port.Connections;
import dev.weir.control.port.Worker;
import io.grpc.ServerInterceptors;
import io.grpc.ServerServiceDefinition;
import java.time.InstantSource;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.X509ExtendedKeyManager;

/** What signs, who may call, and the certificate of the port at which both are asked. */
public final class CertificateAuthority implements AutoCloseable {
  /** A request has one key and a few names. */
  public static final int MOST_REQUEST_BYTES = 64 << 10;

  /** A second and a half of signing. */
  private static final int MOST_WAITING = 1_000;

  private static final long LOOK_MILLIS = 1_000;

  private final InstantSource clock;
  private final AuthorityFolder folder;
  private final ServerIdentity own;
  private final CaReport report;
  private final Admission admission;
  private final ServerServiceDefinition service;
  private final Worker thread;
  private final ScheduledThreadPoolExecutor looking;
  private volatile NodePods pods = NodePods.UNKNOWN;
  private long generation;

  private CertificateAuthority(
      CaOptions options, Connections connections, InstantSource clock, Log log) {
    this.clock = clock;
    this.folder = AuthorityFolder.open(options.files(), clock, log);
    this.own = new ServerIdentity(options.names());
    own.renew(folder.current(), clock.instant());
    this.thread = new Worker("ca", MOST_WAITING);
    this.looking =
        new ScheduledThreadPoolExecutor(1, Thread.ofPlatform().name("ca-files").daemon().factory());
    Refusals refusals = new Refusals("certificate refused", clock, log);
    this.report = new CaReport(refusals);
    this.admission =
        new Admission(
            new Tokens(
                new TokenKeys(options.tokenKeys(), log),
                options.tokenIssuer(),
                options.tokenAudience(),
                clock),
            () -> pods,
            options.trustedNodeAccounts(),
            connections,
            log);
    this.service =
        ServerInterceptors.intercept(
            new CertificateService(
                options, folder::current, () -> pods, report, refusals, thread, clock, log),
            admission.ofAll(refusals));
    looking.scheduleWithFixedDelay(
        () -> {
          try {
            look();
          } catch (RuntimeException e) {
            // A clock or a disk that misbehaves once must not end the renewals.
            log.error("looking after the CA's certificates failed", "reason", e);
          }
        },
        LOOK_MILLIS,
        LOOK_MILLIS,
        TimeUnit.MILLISECONDS);
  }

  /**
   * Reads the files.
   *
   * @param connections of the port at which it is asked
   * @throws CaException where the files make no authority
   */
  public static CertificateAuthority open(
      CaOptions options, Connections connections, InstantSource clock, Log log) {
    return new CertificateAuthority(options, connections, clock, log);
  }

  /** What the port shows of itself; it is renewed in place. */
  public X509ExtendedKeyManager serverIdentity() {
    return own;
  }

  /** The certificate service, behind its admission. */
  public ServerServiceDefinition service() {
    return service;
  }

  public Admission admission() {
    return admission;
  }

  /** From now on it is this model that says which pods run where; an older one changes nothing. */
  public synchronized void follow(MeshModel model) {
    if (model.generation() > generation) {
      generation = model.generation();
      pods = NodePods.of(model);
    }
  }

  public Json status() {
    return report.json(folder.current(), folder.problem(), own.until());
  }

  private void look() {
    if (folder.look() || own.isDue(clock.instant())) {
      own.renew(folder.current(), clock.instant());
    }
  }

  @Override
  public void close() {
    looking.shutdownNow();
    admission.close();
    thread.close();
  }
}

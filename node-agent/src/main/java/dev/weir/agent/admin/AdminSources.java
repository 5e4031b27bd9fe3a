package dev.weir.agent.admin;

import dev.weir.agent.authz.Authz;
import dev.weir.agent.capture.Joining;
import dev.weir.agent.capture.KernelDrop;
import dev.weir.agent.capture.Pod;
import dev.weir.agent.config.Mesh;
import dev.weir.agent.config.XdsState;
import dev.weir.agent.fairness.Fairness;
import dev.weir.agent.identity.CertificateReport;
import dev.weir.agent.identity.CrlReport;
import dev.weir.agent.log.Logs;
import dev.weir.agent.telemetry.Telemetry;
import java.util.List;
import java.util.function.Function;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Whom the admin door asks; each is called on the admin thread.
 *
 * @param transport {@code epoll} or {@code io_uring}
 * @param listeners the addresses on which a pod is served
 * @param refreshFlows brings the byte counters of kernel flows up to date
 * @param certificates how each identity stands
 * @param crl null where the agent was started without
 * @param notReady why the agent is not ready, each a few words; empty where it is
 * @param standing how far the agent is in its life
 * @param quit begins an orderly end of the process
 */
public record AdminSources(
    Mesh mesh,
    Supplier<XdsState> xds,
    Telemetry telemetry,
    Authz authz,
    Fairness fairness,
    Supplier<List<Pod>> pods,
    Function<Pod, List<String>> listeners,
    Supplier<List<KernelDrop>> drops,
    Supplier<Joining> joining,
    Runnable refreshFlows,
    Supplier<List<CertificateReport>> certificates,
    Supplier<@Nullable CrlReport> crl,
    String transport,
    Supplier<List<String>> notReady,
    Supplier<Standing> standing,
    Runnable quit,
    Logs logs) {}

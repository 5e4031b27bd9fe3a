package dev.weir.agent.dns;

import dev.weir.agent.capture.Pod;
import dev.weir.agent.config.Mesh;
import dev.weir.agent.config.MeshView;
import dev.weir.agent.telemetry.Refusal;
import dev.weir.agent.telemetry.Refusals;
import dev.weir.api.dns.Dns;
import dev.weir.api.dns.DnsAnswer;
import dev.weir.api.dns.DnsException;
import dev.weir.api.dns.DnsQuery;
import dev.weir.api.dns.DnsQuestion;
import dev.weir.api.dns.DnsRecord;
import dev.weir.api.dns.DnsReply;
import dev.weir.api.dns.ServiceZone;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.ThreadLocalRandom;
import org.jspecify.annotations.Nullable;

/** Decides what a pod is told. On the pod's event loop. */
final class PodResolver {
  /** What we let a pod ask for over UDP: loopback has no path to fragment on. */
  private static final int MAX_UDP_BYTES = 4096;

  /** Where an answer goes; called once, on the loop, or never where the message deserves none. */
  @FunctionalInterface
  interface Answer {
    void send(byte[] message);
  }

  private final Pod pod;
  private final Mesh mesh;
  private final String domain;
  private final Upstream upstream;
  private final Refusals refusals;
  private final DnsCounters counters;

  // The zone of the view that was asked last.
  private @Nullable MeshView zoneView;
  private @Nullable ServiceZone zone;

  PodResolver(
      Pod pod,
      Mesh mesh,
      String domain,
      Upstream upstream,
      Refusals refusals,
      DnsCounters counters) {
    this.pod = pod;
    this.mesh = mesh;
    this.domain = domain;
    this.upstream = upstream;
    this.refusals = refusals;
    this.counters = counters;
  }

  /** Whether an answer was or will be sent. */
  boolean resolve(byte[] message, boolean tcp, Answer answer) {
    switch (DnsQuery.parse(message)) {
      case DnsQuery.Ignored _ -> {
        counters.ignored.increment();
        refusals.count(pod, Refusal.DNS_MALFORMED);
        return false;
      }
      case DnsQuery.Malformed malformed -> {
        counters.malformed.increment();
        refusals.count(pod, Refusal.DNS_MALFORMED);
        answer.send(malformed.answer());
        return true;
      }
      case DnsQuery.Query parsed -> {
        resolve(parsed.query(), tcp, answer);
        return true;
      }
    }
  }

  private void resolve(DnsQuery query, boolean tcp, Answer answer) {
    int limit = tcp ? Dns.MAX_TCP_BYTES : query.udpLimit(MAX_UDP_BYTES);
    switch (ask(query.question())) {
      case ServiceZone.Answered answered -> {
        counters.fromMesh.increment();
        answer.send(turned(answered.answer()).encode(query, limit));
      }
      case ServiceZone.External external -> {
        counters.fromMesh.increment();
        chase(query, external, limit, answer);
      }
      case ServiceZone.Unknown unknown -> forward(query, unknown.inDomain(), tcp, limit, answer);
    }
  }

  private ServiceZone.Resolution ask(DnsQuestion question) {
    MeshView view = mesh.current();
    // The workload API tells of TCP ports only: what other protocols have, the cluster's own DNS
    // knows.
    if (question.name().contains("._udp.") || question.name().contains("._sctp.")) {
      return new ServiceZone.Unknown(false);
    }
    ServiceZone known = zone;
    if (known == null || zoneView != view) {
      known = new ServiceZone(domain, new MeshNames(view, domain));
      zone = known;
      zoneView = view;
    }
    return known.resolve(question);
  }

  private void forward(DnsQuery query, boolean inDomain, boolean tcp, int limit, Answer answer) {
    if (upstream.isAbsent()) {
      counters.fromMesh.increment();
      answer.send(DnsAnswer.failure(inDomain ? Dns.NXDOMAIN : Dns.REFUSED).encode(query, limit));
      return;
    }
    boolean taken =
        upstream.forward(
            query,
            tcp,
            reply -> {
              if (reply == null) {
                answer.send(DnsAnswer.failure(Dns.SERVFAIL).encode(query, limit));
              } else if (reply.length > limit) {
                answer.send(DnsAnswer.truncated(query));
              } else {
                reply[0] = (byte) (query.id() >> 8);
                reply[1] = (byte) query.id();
                answer.send(reply);
              }
            });
    if (taken) {
      counters.forwarded.increment();
    } else {
      overload(query, limit, answer);
    }
  }

  /** Our alias first, then what the server for its target says. */
  private void chase(DnsQuery query, ServiceZone.External external, int limit, Answer answer) {
    if (upstream.isAbsent()) {
      answer.send(DnsAnswer.of(List.of(external.alias())).encode(query, limit));
      return;
    }
    DnsQuestion question =
        new DnsQuestion(external.target(), query.question().type(), Dns.CLASS_IN);
    boolean taken =
        upstream.ask(
            question,
            reply -> {
              DnsAnswer whole = DnsAnswer.failure(Dns.SERVFAIL);
              if (reply != null) {
                try {
                  DnsReply parsed = DnsReply.parse(reply);
                  List<DnsRecord> records = new ArrayList<>();
                  records.add(external.alias());
                  records.addAll(parsed.answers());
                  whole = new DnsAnswer(parsed.rcode(), false, records, List.of(), List.of());
                } catch (DnsException e) {
                  counters.upstreamFailures.increment();
                }
              }
              answer.send(whole.encode(query, limit));
            });
    if (!taken) {
      overload(query, limit, answer);
    }
  }

  private void overload(DnsQuery query, int limit, Answer answer) {
    counters.overload.increment();
    refusals.count(pod, Refusal.DNS_OVERLOAD);
    answer.send(DnsAnswer.failure(Dns.SERVFAIL).encode(query, limit));
  }

  /**
   * Many addresses in another order each time: clients take the first, and all of them would take
   * the same.
   */
  private static DnsAnswer turned(DnsAnswer answer) {
    List<DnsRecord> records = answer.answers();
    if (records.size() < 2 || !(records.getFirst() instanceof DnsRecord.Address)) {
      return answer;
    }
    List<DnsRecord> turned = new ArrayList<>(records);
    Collections.rotate(turned, ThreadLocalRandom.current().nextInt(turned.size()));
    return new DnsAnswer(
        answer.rcode(), answer.authoritative(), turned, answer.authority(), answer.additional());
  }
}

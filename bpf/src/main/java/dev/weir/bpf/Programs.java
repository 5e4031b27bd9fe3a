package dev.weir.bpf;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.List;

/** The object that is loaded into the kernel, and the names in it. */
public final class Programs {
  /** The object's name for libbpf and in its messages. */
  public static final String OBJECT = "weir";

  // Attach types of linux/bpf.h.
  public static final int SOCK_OPS = 3;
  public static final int SK_MSG_VERDICT = 7;
  public static final int TCX_INGRESS = 46;
  public static final int TCX_EGRESS = 47;

  /** A program that is attached once, to the node's cgroup2 folder. */
  public record CgroupProgram(String name, int attachType) {}

  /** All of them; the agent links each. */
  public static final List<CgroupProgram> CGROUP =
      List.of(
          new CgroupProgram("weir_connect4", 10),
          new CgroupProgram("weir_connect6", 11),
          new CgroupProgram("weir_sendmsg4", 14),
          new CgroupProgram("weir_sendmsg6", 15),
          new CgroupProgram("weir_recvmsg4", 19),
          new CgroupProgram("weir_recvmsg6", 20),
          new CgroupProgram("weir_getpeername4", 29),
          new CgroupProgram("weir_getpeername6", 30),
          new CgroupProgram("weir_sockops", SOCK_OPS));

  /** Owned by {@link #JOINABLE}, attached as {@link #SK_MSG_VERDICT}. */
  public static final String JOIN = "weir_join";

  /** On a pod's interfaces, {@link #TCX_INGRESS}. */
  public static final String INGRESS = "weir_ingress";

  /** On a pod's interfaces, {@link #TCX_EGRESS}. */
  public static final String EGRESS = "weir_egress";

  public static final String PODS = "weir_pods";
  public static final String ADDRESSES = "weir_addresses";
  public static final String SERVICES = "weir_services";
  public static final String ENDPOINTS = "weir_endpoints";
  public static final String VERDICTS = "weir_verdicts";
  public static final String ORIGINALS = "weir_originals";
  public static final String FLOWS = "weir_flows";
  public static final String PORTS = "weir_ports";
  public static final String CIDRS = "weir_cidrs";
  public static final String CONTROL = "weir_control";
  public static final String DROPS = "weir_drops";
  public static final String EVENTS = "weir_events";

  // Read and written by programs only; pinned with the rest so that a new agent's programs know
  // what stands.
  public static final String SOCKETS = "weir_sockets";
  public static final String JOINS = "weir_joins";
  public static final String MEETINGS = "weir_meetings";
  public static final String JOINABLE = "weir_joinable";

  public static final List<String> MAPS =
      List.of(
          PODS, ADDRESSES, SERVICES, ENDPOINTS, VERDICTS, ORIGINALS, FLOWS, PORTS, CIDRS, CONTROL,
          DROPS, EVENTS, SOCKETS, JOINS, MEETINGS, JOINABLE);

  /** {@code __u64}: how old a heartbeat may be. */
  public static final String KNOB_BEAT_LIMIT_NANOS = "weir_beat_limit_ns";

  /** {@code __u32}: SO_RCVBUF of joined sockets whose program chose none, 0 to leave it. */
  public static final String KNOB_JOINED_RCVBUF = "weir_joined_rcvbuf";

  /** {@code __u32}: SO_SNDBUF of joined sockets whose program chose none, 0 to leave it. */
  public static final String KNOB_JOINED_SNDBUF = "weir_joined_sndbuf";

  /** {@code __u32}: how many bytes of events wake the reader. */
  public static final String KNOB_EVENTS_WAKE = "weir_events_wake";

  private Programs() {}

  /** The ELF object, as clang made it. */
  public static byte[] object() {
    try (InputStream in = Programs.class.getResourceAsStream("weir.bpf.o")) {
      if (in == null) {
        throw new IllegalStateException(
            "weir.bpf.o is not beside its class: the bpf module was packaged without its make step");
      }
      return in.readAllBytes();
    } catch (IOException e) {
      throw new UncheckedIOException("weir.bpf.o", e);
    }
  }
}

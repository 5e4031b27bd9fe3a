package dev.weir.bpf;

import dev.weir.ffi.Bpf;
import dev.weir.ffi.Bpf.BpfMap;
import dev.weir.ffi.Bpf.BpfObject;
import dev.weir.ffi.Fd;
import dev.weir.ffi.Kernel;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/** The object in the kernel, and its maps as the agent would write them. */
final class Loaded implements AutoCloseable {
  static final Kernel KERNEL = Kernel.instance();

  private static final long BEATS_ON = TimeUnit.HOURS.toNanos(1);

  final BpfObject object;
  private final ByteBuffer control;

  Loaded() {
    object = KERNEL.bpf().open(Programs.object(), Programs.OBJECT);
    object.load();
    control = map(Programs.CONTROL).mmap().order(ByteOrder.nativeOrder());
  }

  BpfMap map(String name) {
    return object.map(name);
  }

  Bpf.BpfProgram program(String name) {
    return object.program(name);
  }

  /** An agent that lives, and goes on living for longer than any test. */
  void beat() {
    control.putLong(Layouts.CONTROL_BEAT_NANOS, System.nanoTime() + BEATS_ON);
  }

  void stopBeating() {
    control.putLong(Layouts.CONTROL_BEAT_NANOS, System.nanoTime() - TimeUnit.SECONDS.toNanos(4));
  }

  void allowJoining() {
    control.putInt(Layouts.CONTROL_FLAGS, Layouts.CONTROL_FLAG_JOINING);
  }

  void forbidJoining() {
    control.putInt(Layouts.CONTROL_FLAGS, 0);
  }

  /** Enrols a namespace; its identity has the number of the pod. */
  void enrol(Fd netns, int pod, int flags, InetAddress four, InetAddress six) {
    long cookie = KERNEL.namespaces().cookie(netns);
    map(Programs.PODS)
        .update(
            Layouts.cookie(cookie),
            new Layouts.PodEntry(pod, pod, flags, Layouts.mapped(four), Layouts.mapped(six))
                .bytes());
    byte[] address = new Layouts.AddressEntry(cookie, pod, Layouts.AddressEntry.POD).bytes();
    map(Programs.ADDRESSES).update(Layouts.mapped(four), address);
    map(Programs.ADDRESSES).update(Layouts.mapped(six), address);
  }

  void withdraw(Fd netns) {
    map(Programs.PODS).delete(Layouts.cookie(KERNEL.namespaces().cookie(netns)));
  }

  void allow(int source, int destination, int port, boolean joined) {
    map(Programs.VERDICTS)
        .update(
            new Layouts.VerdictKey(source, destination, port).bytes(),
            Layouts.verdict(joined ? Layouts.VERDICT_JOINED : 0, 1));
  }

  void rule(Fd netns, int port, int kind) {
    map(Programs.PORTS)
        .update(Layouts.portKey(KERNEL.namespaces().cookie(netns), port, kind), new byte[] {1});
  }

  void service(
      int number, InetAddress address, int port, @Nullable InetAddress endpoint, int target) {
    if (endpoint != null) {
      map(Programs.ENDPOINTS)
          .update(Layouts.endpointKey(number, 1, 0), Layouts.endpoint(endpoint, target, 65_535, 0));
    }
    map(Programs.SERVICES)
        .update(
            Layouts.serviceKey(address, port),
            new Layouts.ServiceEntry(number, 1, endpoint == null ? 0 : 1, 0).bytes());
  }

  /** What was refused so far, all CPUs together. */
  Map<Layouts.DropKey, Long> drops() {
    Map<Layouts.DropKey, Long> drops = new HashMap<>();
    map(Programs.DROPS)
        .forEach((key, value) -> {
          ByteBuffer cpus = ByteBuffer.wrap(value).order(ByteOrder.nativeOrder());
          long sum = 0;
          while (cpus.remaining() >= Long.BYTES) {
            sum += cpus.getLong();
          }
          drops.put(Layouts.DropKey.of(key), sum);
        });
    return drops;
  }

  @Override
  public void close() {
    object.close();
  }
}

package dev.weir.bench;

import dev.weir.agent.config.MeshView;
import dev.weir.api.model.AppProtocol;
import dev.weir.api.model.Balancing;
import dev.weir.api.model.Endpoint;
import dev.weir.api.model.IpFamilies;
import dev.weir.api.model.Locality;
import dev.weir.api.model.PodSettings;
import dev.weir.api.model.Service;
import dev.weir.api.model.ServicePort;
import dev.weir.api.model.Tunnel;
import dev.weir.api.model.Workload;
import dev.weir.api.model.WorkloadKind;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.NullUnmarked;
import org.jspecify.annotations.Nullable;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/** What each connection asks of the mesh's view, and what a whole view costs to compile. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Fork(1)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@NullUnmarked // JMH fills the fields before a benchmark runs
public class MeshViewBench {
  private static final int PODS_PER_SERVICE = 10;

  @Param({"100", "10000"})
  int services;

  private List<Service> allServices;
  private List<Workload> allWorkloads;
  private MeshView view;
  private InetAddress service;
  private InetAddress pod;

  @Setup
  public void setUp() throws UnknownHostException {
    allServices = new ArrayList<>();
    allWorkloads = new ArrayList<>();
    for (int i = 0; i < services; i++) {
      allServices.add(service(i));
      for (int p = 0; p < PODS_PER_SERVICE; p++) {
        allWorkloads.add(workload(i, p));
      }
    }
    view = MeshView.of(allServices, allWorkloads);
    service = allServices.get(services / 2).addresses().getFirst();
    pod = allWorkloads.get(services / 2).addresses().getFirst();
  }

  private static Service service(int i) throws UnknownHostException {
    return new Service(
        "bench",
        "svc-" + i,
        "svc-" + i + ".bench.svc.cluster.local",
        "",
        List.of(address(10, 96, i)),
        List.of(new ServicePort("http", 80, 8080, AppProtocol.UNKNOWN)),
        IpFamilies.AUTOMATIC,
        Balancing.ANYWHERE,
        false,
        "",
        false);
  }

  private static Workload workload(int i, int p) throws UnknownHostException {
    String name = "svc-%d-%d".formatted(i, p);
    return new Workload(
        Workload.podUid(Workload.DEFAULT_CLUSTER, "bench", name),
        "bench",
        name,
        List.of(address(11 + p, 0, i)),
        "",
        "node-1",
        "",
        Workload.DEFAULT_SERVICE_ACCOUNT,
        Workload.DEFAULT_TRUST_DOMAIN,
        Workload.DEFAULT_CLUSTER,
        Locality.UNKNOWN,
        WorkloadKind.DEPLOYMENT,
        "svc-" + i,
        "svc-" + i,
        "latest",
        Tunnel.NONE,
        true,
        false,
        1,
        Map.of(
            Service.key("bench", "svc-" + i + ".bench.svc.cluster.local"),
            List.of(new ServicePort("http", 80, 8080, AppProtocol.UNKNOWN))),
        PodSettings.DEFAULT);
  }

  private static InetAddress address(int first, int second, int rest) throws UnknownHostException {
    return InetAddress.getByAddress(
        new byte[] {(byte) first, (byte) second, (byte) (rest >> 8), (byte) rest});
  }

  @Benchmark
  public @Nullable Workload workloadByAddress() {
    return view.workload(pod);
  }

  @Benchmark
  public List<Endpoint> endpointsOfAServiceAddress() {
    return view.endpoints(view.service(service), 80);
  }

  @Benchmark
  @OutputTimeUnit(TimeUnit.MILLISECONDS)
  public MeshView aWholeViewIsCompiled() {
    return MeshView.of(allServices, allWorkloads);
  }
}

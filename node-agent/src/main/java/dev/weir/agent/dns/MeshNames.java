package dev.weir.agent.dns;

import dev.weir.agent.config.MeshView;
import dev.weir.api.dns.ServiceNames;
import dev.weir.api.model.Service;
import dev.weir.api.model.ServicePort;
import dev.weir.api.model.Workload;
import java.net.InetAddress;
import java.util.AbstractList;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** One view of the mesh as the zone asks for it. Made for one question. */
final class MeshNames implements ServiceNames {
  private final MeshView view;
  private final String suffix;

  MeshNames(MeshView view, String domain) {
    this.view = view;
    this.suffix = ".svc." + domain;
  }

  @Override
  public @Nullable Entry service(String namespace, String name) {
    return entry(view.service(name + "." + namespace + suffix));
  }

  @Override
  public @Nullable Entry host(String hostname) {
    return entry(view.service(hostname));
  }

  @Override
  public boolean knowsNamespace(String namespace) {
    // Before the first response nothing is known, so nothing may be called absent.
    return view.synced() && view.knowsNamespace(namespace);
  }

  @Override
  public @Nullable String nameOf(InetAddress address) {
    Service service = view.service(address);
    if (service != null) {
      return service.hostname();
    }
    Workload workload = view.workload(address);
    return workload == null || workload.hostname().isEmpty() ? null : workload.hostname();
  }

  private @Nullable Entry entry(@Nullable Service service) {
    if (service == null) {
      return null;
    }
    List<Port> ports = new ArrayList<>(service.ports().size());
    for (ServicePort port : service.ports()) {
      ports.add(new Port(port.name(), "tcp", port.port()));
    }
    return new Entry(
        service.namespace(),
        service.name(),
        service.addresses(),
        service.headless(),
        service.externalName().isEmpty() ? null : service.externalName(),
        ports,
        new Endpoints(service));
  }

  /**
   * Looked at only where a name asks for endpoints: most questions are for a Service's own address.
   */
  private final class Endpoints extends AbstractList<Endpoint> {
    private final Service service;
    private @Nullable List<Workload> workloads;

    Endpoints(Service service) {
      this.service = service;
    }

    @Override
    public Endpoint get(int index) {
      Workload workload = workloads().get(index);
      List<Integer> targets = new ArrayList<>(service.ports().size());
      for (ServicePort port : service.ports()) {
        targets.add(workload.targetPort(service.key(), port.port()));
      }
      return new Endpoint(label(workload), workload.addresses(), targets);
    }

    @Override
    public int size() {
      return workloads().size();
    }

    private List<Workload> workloads() {
      List<Workload> known = workloads;
      if (known == null) {
        known = view.workloads(service);
        workloads = known;
      }
      return known;
    }

    /** {@code web-0} of {@code web-0.web.shop.svc.cluster.local} behind the Service {@code web}. */
    private @Nullable String label(Workload workload) {
      String hostname = workload.hostname();
      int dot = hostname.indexOf('.');
      return dot > 0 && hostname.substring(dot + 1).equals(service.hostname())
          ? hostname.substring(0, dot)
          : null;
    }
  }
}

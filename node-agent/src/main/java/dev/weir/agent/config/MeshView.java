package dev.weir.agent.config;

import dev.weir.agent.authz.Policies;
import dev.weir.agent.capture.PodDirectory;
import dev.weir.agent.capture.ServiceAddress;
import dev.weir.api.model.Addresses;
import dev.weir.api.model.Authorization;
import dev.weir.api.model.Endpoint;
import dev.weir.api.model.Service;
import dev.weir.api.model.Workload;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * The mesh at one moment. Immutable; views share what did not change, so the next one costs what
 * its change costs. Look-ups by name or address take tens of nanoseconds and allocate nothing.
 */
public final class MeshView implements PodDirectory {
  private static final MeshView EMPTY = empty("");

  private final String network;
  private final long generation;
  private final boolean synced;
  private final PersistentMap<String, Workload> workloads;
  private final PersistentMap<InetAddress, Workload> workloadsByAddress;
  private final PersistentMap<String, Workload> workloadsElsewhere;
  private final PersistentMap<String, Members> members;
  private final PersistentMap<InetAddress, Service> servicesByAddress;
  private final PersistentMap<String, Service> servicesByHost;
  private final PersistentMap<String, Integer> namespaces;
  private final Policies policies;

  private MeshView(
      String network,
      long generation,
      boolean synced,
      PersistentMap<String, Workload> workloads,
      PersistentMap<InetAddress, Workload> workloadsByAddress,
      PersistentMap<String, Workload> workloadsElsewhere,
      PersistentMap<String, Members> members,
      PersistentMap<InetAddress, Service> servicesByAddress,
      PersistentMap<String, Service> servicesByHost,
      PersistentMap<String, Integer> namespaces,
      Policies policies) {
    this.network = network;
    this.generation = generation;
    this.synced = synced;
    this.workloads = workloads;
    this.workloadsByAddress = workloadsByAddress;
    this.workloadsElsewhere = workloadsElsewhere;
    this.members = members;
    this.servicesByAddress = servicesByAddress;
    this.servicesByHost = servicesByHost;
    this.namespaces = namespaces;
    this.policies = policies;
  }

  /** Before the control plane has said anything. */
  public static MeshView empty() {
    return EMPTY;
  }

  /** The same in a network of a mesh that has several. */
  public static MeshView empty(String network) {
    return new MeshView(
        network,
        0,
        false,
        PersistentMap.empty(),
        PersistentMap.empty(),
        PersistentMap.empty(),
        PersistentMap.empty(),
        PersistentMap.empty(),
        PersistentMap.empty(),
        PersistentMap.empty(),
        Policies.none());
  }

  /** A whole view at once, as if one response had brought it. */
  public static MeshView of(Collection<Service> services, Collection<Workload> workloads) {
    return of(services, workloads, List.of());
  }

  /** As {@link #of(Collection, Collection)}, with policies. */
  public static MeshView of(
      Collection<Service> services,
      Collection<Workload> workloads,
      Collection<Authorization> authorizations) {
    return EMPTY.with(services, workloads, authorizations);
  }

  /** All this as well, as if one response had brought it. */
  public MeshView with(
      Collection<Service> services,
      Collection<Workload> workloads,
      Collection<Authorization> authorizations) {
    Change change = change();
    services.forEach(change::put);
    workloads.forEach(change::put);
    authorizations.forEach(change.policies()::put);
    return change.done();
  }

  /** The one that it is seen from; empty where networks are not looked at. */
  public String network() {
    return network;
  }

  /** Whether addresses of that network mean nothing here. */
  public boolean isElsewhere(String other) {
    return !network.isEmpty() && !other.isEmpty() && !other.equals(network);
  }

  /** Counts views of this process. */
  public long generation() {
    return generation;
  }

  /** Whether the control plane has told everything once: what is not here then does not exist. */
  @Override
  public boolean synced() {
    return synced;
  }

  /** By uid. */
  public @Nullable Workload workload(String uid) {
    return workloads.get(uid);
  }

  /** Never one on its host's network: that address is the node's. */
  public @Nullable Workload workload(InetAddress address) {
    return workloadsByAddress.get(address);
  }

  /** Of whichever network: the one way to find one of another network by address. */
  public @Nullable Workload workload(String itsNetwork, InetAddress address) {
    return isElsewhere(itsNetwork)
        ? workloadsElsewhere.get(Addresses.alias(itsNetwork, address))
        : workload(address);
  }

  @Override
  public Optional<Workload> pod(String namespace, String name) {
    return Optional.ofNullable(
        workloads.get(Workload.podUid(Workload.DEFAULT_CLUSTER, namespace, name)));
  }

  /** By one of its own addresses. */
  public @Nullable Service service(InetAddress address) {
    return servicesByAddress.get(address);
  }

  /** By its full host name, in lower case and without trailing dot. */
  public @Nullable Service service(String hostname) {
    return servicesByHost.get(hostname);
  }

  /** By {@link Service#key}. */
  public @Nullable Service serviceByKey(String key) {
    Members found = members.get(key);
    return found == null ? null : found.service();
  }

  /**
   * Where a port of a Service is answered now, of both families, and in other networks that a
   * gateway leads to; the same list until it changes.
   */
  public List<Endpoint> endpoints(Service service, int servicePort) {
    Members found = members.get(service.key());
    return found == null ? List.of() : found.endpoints(servicePort);
  }

  /** The workloads that answer for a Service here, ready or published all the same. */
  public List<Workload> workloads(Service service) {
    Members found = members.get(service.key());
    return found == null ? List.of() : taken(service, found.workloads());
  }

  /** The same of other networks. */
  public List<Workload> workloadsElsewhere(Service service) {
    Members found = members.get(service.key());
    return found == null ? List.of() : taken(service, found.elsewhere());
  }

  private static List<Workload> taken(Service service, List<Workload> workloads) {
    List<Workload> taken = new ArrayList<>(workloads.size());
    for (Workload workload : workloads) {
      if (service.takes(workload)) {
        taken.add(workload);
      }
    }
    return taken;
  }

  /** Whether a Service or a workload of the namespace is known. */
  public boolean knowsNamespace(String namespace) {
    return namespaces.get(namespace) != null;
  }

  public int workloadCount() {
    return workloads.size();
  }

  public int serviceCount() {
    return servicesByHost.size();
  }

  /** In no order. */
  public void forEachWorkload(Consumer<? super Workload> visitor) {
    workloads.forEach((uid, workload) -> visitor.accept(workload));
  }

  /** In no order. */
  public void forEachService(Consumer<? super Service> visitor) {
    members.forEach((key, each) -> {
      Service service = each.service();
      if (service != null) {
        visitor.accept(service);
      }
    });
  }

  /**
   * What the kernel resolves itself. Entries of Services that did not change are the same objects
   * as in the view before.
   */
  public List<ServiceAddress> serviceAddresses() {
    List<ServiceAddress> all = new ArrayList<>(serviceCount() * 2);
    members.forEach((key, each) -> all.addAll(each.kernelAddresses()));
    return all;
  }

  /** Who may call whom. */
  public Policies policies() {
    return policies;
  }

  /** Begins the next view. */
  Change change() {
    return new Change(this);
  }

  /** One response being compiled; used by one thread and then dropped. */
  static final class Change {
    private final MeshView before;
    private PersistentMap<String, Workload> workloads;
    private PersistentMap<InetAddress, Workload> workloadsByAddress;
    private PersistentMap<String, Workload> workloadsElsewhere;
    private PersistentMap<String, Members> members;
    private PersistentMap<InetAddress, Service> servicesByAddress;
    private PersistentMap<String, Service> servicesByHost;
    private PersistentMap<String, Integer> namespaces;
    private Policies.@Nullable Change policies;

    private Change(MeshView before) {
      this.before = before;
      this.workloads = before.workloads;
      this.workloadsByAddress = before.workloadsByAddress;
      this.workloadsElsewhere = before.workloadsElsewhere;
      this.members = before.members;
      this.servicesByAddress = before.servicesByAddress;
      this.servicesByHost = before.servicesByHost;
      this.namespaces = before.namespaces;
    }

    void put(Workload workload) {
      Workload old = workloads.get(workload.uid());
      if (workload.equals(old)) {
        return;
      }
      if (old != null) {
        forget(old, workload);
      }
      workloads = workloads.with(workload.uid(), workload);
      boolean elsewhere = before.isElsewhere(workload.network());
      for (InetAddress address : workload.addresses()) {
        if (elsewhere) {
          // Only gateways are asked for by it: no connection is.
          workloadsElsewhere =
              workloadsElsewhere.with(Addresses.alias(workload.network(), address), workload);
        } else if (!workload.hostNetwork()) {
          workloadsByAddress = workloadsByAddress.with(address, workload);
        }
      }
      for (String key : workload.services().keySet()) {
        members = members.with(key, membersOf(key).withWorkload(workload, elsewhere));
      }
      count(workload.namespace(), 1);
    }

    void put(Service service) {
      Service old = membersOf(service.key()).service();
      if (service.equals(old)) {
        return;
      }
      if (old != null) {
        forget(old);
      }
      members = members.with(service.key(), membersOf(service.key()).withService(service));
      for (InetAddress address : service.addresses()) {
        servicesByAddress = servicesByAddress.with(address, service);
      }
      servicesByHost = servicesByHost.with(service.hostname(), service);
      count(service.namespace(), 1);
    }

    /** A workload's uid or a Service's key; a name that stands for nothing is passed over. */
    void remove(String name) {
      Workload workload = workloads.get(name);
      if (workload != null) {
        forget(workload, null);
        workloads = workloads.without(name);
        return;
      }
      Service service = membersOf(name).service();
      if (service != null) {
        forget(service);
        keep(name, membersOf(name).withService(null));
      }
    }

    Policies.Change policies() {
      if (policies == null) {
        policies = before.policies.change();
      }
      return policies;
    }

    MeshView done() {
      return done(true);
    }

    /** {@code whole}: all has been heard once. Who has once heard all stays synced. */
    MeshView done(boolean whole) {
      return new MeshView(
          before.network,
          before.generation + 1,
          before.synced || whole,
          workloads,
          workloadsByAddress,
          workloadsElsewhere,
          members,
          servicesByAddress,
          servicesByHost,
          namespaces,
          policies == null ? before.policies : policies.done());
    }

    private void forget(Workload old, @Nullable Workload next) {
      boolean elsewhere = before.isElsewhere(old.network());
      for (InetAddress address : old.addresses()) {
        if (elsewhere) {
          String alias = Addresses.alias(old.network(), address);
          Workload holder = workloadsElsewhere.get(alias);
          if (holder != null && holder.uid().equals(old.uid())) {
            workloadsElsewhere = workloadsElsewhere.without(alias);
          }
          continue;
        }
        Workload holder = workloadsByAddress.get(address);
        // An address that was reused already belongs to somebody else.
        if (holder != null && holder.uid().equals(old.uid())) {
          workloadsByAddress = workloadsByAddress.without(address);
        }
      }
      for (String key : old.services().keySet()) {
        if (next == null || !next.services().containsKey(key)) {
          keep(key, membersOf(key).withoutWorkload(old.uid()));
        }
      }
      count(old.namespace(), -1);
    }

    private void forget(Service old) {
      for (InetAddress address : old.addresses()) {
        Service holder = servicesByAddress.get(address);
        if (holder != null && holder.key().equals(old.key())) {
          servicesByAddress = servicesByAddress.without(address);
        }
      }
      Service holder = servicesByHost.get(old.hostname());
      if (holder != null && holder.key().equals(old.key())) {
        servicesByHost = servicesByHost.without(old.hostname());
      }
      count(old.namespace(), -1);
    }

    private Members membersOf(String key) {
      Members found = members.get(key);
      return found == null ? Members.none() : found;
    }

    private void keep(String key, Members next) {
      members = next.isEmpty() ? members.without(key) : members.with(key, next);
    }

    private void count(String namespace, int difference) {
      Integer now = namespaces.get(namespace);
      int next = (now == null ? 0 : now) + difference;
      namespaces = next == 0 ? namespaces.without(namespace) : namespaces.with(namespace, next);
    }
  }
}

package dev.weir.agent.capture;

import dev.weir.agent.log.Log;
import dev.weir.bpf.Layouts;
import dev.weir.ffi.Bpf.BpfMap;
import dev.weir.ffi.KernelException;
import java.net.InetAddress;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;

/**
 * {@code weir_services} and {@code weir_endpoints}. A change writes a whole new generation of
 * slots, swaps the Service's value in one update, and deletes the old slots a little later, so a
 * program that has just read the old value still finds them.
 */
final class KernelServices implements ServiceTable {
  private static final Duration OLD_SLOTS_STAY = Duration.ofSeconds(1);
  // Closed flows may still be reported under the number of a Service that has just gone.
  private static final Duration NAMES_STAY = Duration.ofMinutes(5);

  private record Key(InetAddress address, int port) {}

  /** What the kernel holds; service is null where a former agent wrote it. */
  private record Standing(Layouts.ServiceEntry entry, @Nullable ServiceAddress service) {}

  private final CaptureThread thread;
  private final BpfMap services;
  private final BpfMap endpoints;
  private final BooleanSupplier inCharge;
  private final Log log;
  private final Map<Key, Standing> standing = new HashMap<>();
  private final Map<Integer, ServiceAddress> names = new ConcurrentHashMap<>();
  // Only the newest truth counts: a burst of changes is one pass.
  private final AtomicReference<@Nullable Collection<ServiceAddress>> wanted =
      new AtomicReference<>();
  private Collection<ServiceAddress> latest = List.of();
  private boolean told;
  private int lastNumber;
  private boolean full;

  KernelServices(
      CaptureThread thread, BpfMap services, BpfMap endpoints, BooleanSupplier inCharge, Log log) {
    this.thread = thread;
    this.services = services;
    this.endpoints = endpoints;
    this.inCharge = inCharge;
    this.log = log;
  }

  /** Takes over what another agent wrote: it goes on until the first replace. */
  void adopt() {
    Map<Key, Standing> found = new HashMap<>();
    services.forEach((key, value) -> {
      Layouts.ServiceEntry entry = Layouts.ServiceEntry.of(value);
      Key address = keyOf(key);
      Standing known = standing.get(address);
      found.put(
          address,
          known != null && known.entry().equals(entry) ? known : new Standing(entry, null));
      lastNumber = Math.max(lastNumber, entry.id());
    });
    standing.clear();
    standing.putAll(found);
  }

  /** On the capture thread: from now on this agent writes. */
  void takeCharge() {
    adopt();
    if (told) {
      write(latest);
    }
  }

  @Override
  public void replace(Collection<ServiceAddress> all) {
    if (wanted.getAndSet(all) == null) {
      thread.run("Services into the kernel", this::write);
    }
  }

  @Override
  public @Nullable ServiceAddress serviceAddress(int number) {
    return names.get(number);
  }

  private void write() {
    Collection<ServiceAddress> all = wanted.getAndSet(null);
    if (all == null) {
      return;
    }
    latest = all;
    told = true;
    if (inCharge.getAsBoolean()) {
      write(all);
    }
  }

  private void write(Collection<ServiceAddress> all) {
    Map<Key, ServiceAddress> next = HashMap.newHashMap(all.size());
    for (ServiceAddress service : all) {
      next.put(new Key(service.address(), service.port()), service);
    }
    List<Key> gone = new ArrayList<>();
    for (Key key : standing.keySet()) {
      if (!next.containsKey(key)) {
        gone.add(key);
      }
    }
    // First what goes, so that a full table has room for what comes.
    gone.forEach(this::remove);
    int refused = 0;
    for (Map.Entry<Key, ServiceAddress> entry : next.entrySet()) {
      Standing now = standing.get(entry.getKey());
      if (now != null && entry.getValue().equals(now.service())) {
        continue;
      }
      if (!put(entry.getKey(), entry.getValue(), now)) {
        refused++;
      }
    }
    if (refused > 0 && !full) {
      log.warn(
          "the kernel's Service table is full: these go through the agent",
          "services",
          refused,
          "of",
          next.size());
    }
    full = refused > 0;
  }

  private boolean put(Key key, ServiceAddress service, @Nullable Standing before) {
    List<ServiceAddress.Endpoint> targets = service.endpoints();
    int id = before == null ? ++lastNumber : before.entry().id();
    int generation = before == null ? 1 : before.entry().generation() + 1;
    int count = service.agentDecides() ? 0 : targets.size();
    int written = 0;
    try {
      AliasTable table =
          AliasTable.of(targets.stream().mapToInt(ServiceAddress.Endpoint::weight).toArray());
      for (; written < count; written++) {
        ServiceAddress.Endpoint target = targets.get(written);
        endpoints.update(
            Layouts.endpointKey(id, generation, written),
            Layouts.endpoint(
                target.address(), target.port(), table.threshold(written), table.alias(written)));
      }
      Layouts.ServiceEntry entry =
          new Layouts.ServiceEntry(
              id, generation, count, service.agentDecides() ? Layouts.ServiceEntry.AGENT : 0);
      services.update(Layouts.serviceKey(key.address(), key.port()), entry.bytes());
      names.put(id, service);
      standing.put(key, new Standing(entry, service));
    } catch (KernelException e) {
      deleteSlots(id, generation, written);
      if (before != null) {
        // Endpoints of yesterday are worse than the way through the agent.
        remove(key);
      }
      if (e.errno() != E2BIG && e.errno() != ENOSPC && e.errno() != ENOMEM) {
        log.error(
            "Service not in the kernel", "service", service.hostname(), "cause", e.getMessage());
      }
      return false;
    }
    if (before != null) {
      deleteSlotsSoon(before.entry());
    }
    return true;
  }

  private static final int E2BIG = 7;
  private static final int ENOMEM = 12;
  private static final int ENOSPC = 28;

  private void remove(Key key) {
    Standing old = standing.remove(key);
    if (old == null) {
      return;
    }
    services.delete(Layouts.serviceKey(key.address(), key.port()));
    deleteSlotsSoon(old.entry());
    int id = old.entry().id();
    thread.after(NAMES_STAY, "forget a Service", () -> names.remove(id));
  }

  private void deleteSlotsSoon(Layouts.ServiceEntry entry) {
    if (entry.count() > 0) {
      thread.after(
          OLD_SLOTS_STAY,
          "delete old endpoints",
          () -> deleteSlots(entry.id(), entry.generation(), entry.count()));
    }
  }

  private void deleteSlots(int id, int generation, int count) {
    for (int slot = 0; slot < count; slot++) {
      endpoints.delete(Layouts.endpointKey(id, generation, slot));
    }
  }

  private static Key keyOf(byte[] key) {
    var from = Layouts.read(key);
    return new Key(Layouts.address(from), Layouts.portOf(from));
  }
}

package dev.weir.control.admin;

import dev.weir.api.json.Json;
import dev.weir.api.kube.KubeObject;
import dev.weir.api.yaml.Problem;
import dev.weir.control.ca.Refusals;
import dev.weir.control.source.Catalog;
import dev.weir.control.xds.ClientStatus;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.IntSupplier;
import java.util.function.LongSupplier;
import java.util.function.Supplier;

/** What an operator asks first: what was read, what is wrong, who follows and how far. */
public final class StatusPage {
  private final Supplier<Catalog> catalog;
  private final LongSupplier generation;
  private final IntSupplier resources;
  private final Supplier<List<ClientStatus>> clients;
  private final Supplier<Json> ports;
  private final Refusals refusals;
  private final Supplier<Json> certificates;

  /**
   * @param refusals of the mesh's configuration
   */
  public StatusPage(
      Supplier<Catalog> catalog,
      LongSupplier generation,
      IntSupplier resources,
      Supplier<List<ClientStatus>> clients,
      Supplier<Json> ports,
      Refusals refusals,
      Supplier<Json> certificates) {
    this.catalog = catalog;
    this.generation = generation;
    this.resources = resources;
    this.clients = clients;
    this.ports = ports;
    this.refusals = refusals;
    this.certificates = certificates;
  }

  Json json() {
    Catalog now = catalog.get();
    Map<String, Integer> kinds = new TreeMap<>();
    for (KubeObject object : now.objects()) {
      kinds.merge(object.kind(), 1, Integer::sum);
    }
    Json.Builder byKind = Json.object();
    kinds.forEach((kind, count) -> byKind.with(kind, count));
    List<Json> errors = new ArrayList<>();
    for (Problem problem : now.problems()) {
      errors.add(
          Json.object()
              .with("file", problem.where().file())
              .with("document", problem.where().document())
              .with("line", problem.where().line())
              .with("message", problem.message())
              .build());
    }
    List<Json> nodes = new ArrayList<>();
    for (ClientStatus client : clients.get()) {
      Instant until = client.tokenUntil();
      nodes.add(
          Json.object()
              .with("node", client.node())
              .with("id", client.id())
              .with("address", client.address())
              .with("tokenUntil", until == null ? "" : until.toString())
              .with("connected", client.connected())
              .with("since", client.since().toString())
              .with("ackedVersion", (double) client.ackedVersion())
              .with("nacks", (double) client.nacks())
              .with("lastNack", client.lastNack())
              .build());
    }
    return Json.object()
        .with("generation", (double) generation.getAsLong())
        .with("objects", now.objects().size())
        .with("kinds", byKind.build())
        .with("resources", resources.getAsInt())
        .with("errors", Json.of(errors))
        .with("ports", ports.get())
        .with("clients", Json.of(nodes))
        .with("refused", refusals.counts())
        .with("lastRefusal", refusals.last())
        .with("certificates", certificates.get())
        .build();
  }
}

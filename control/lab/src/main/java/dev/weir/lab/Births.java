package dev.weir.lab;

import dev.weir.api.kube.AccessPolicy;
import dev.weir.api.kube.ConfigMap;
import dev.weir.api.kube.DaemonSet;
import dev.weir.api.kube.Deployment;
import dev.weir.api.kube.EndpointSlice;
import dev.weir.api.kube.Job;
import dev.weir.api.kube.KubeObject;
import dev.weir.api.kube.Metadata;
import dev.weir.api.kube.Namespace;
import dev.weir.api.kube.Node;
import dev.weir.api.kube.Pod;
import dev.weir.api.kube.ReplicaSet;
import dev.weir.api.kube.Secret;
import dev.weir.api.kube.Service;
import dev.weir.api.kube.ServiceAccount;
import dev.weir.api.kube.StatefulSet;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.UUID;
import org.jspecify.annotations.Nullable;

/** What an API server adds to an object: its UID and its birthday, which stay while it lives. */
final class Births {
  private Births() {}

  static KubeObject born(KubeObject object, @Nullable KubeObject before) {
    Metadata metadata = object.metadata();
    if (before != null) {
      return withMetadata(
          object,
          metadata
              .withUid(before.metadata().uid())
              .withCreationTimestamp(before.metadata().creationTimestamp()));
    }
    return withMetadata(object, born(metadata));
  }

  static Metadata born(Metadata metadata) {
    Metadata named =
        metadata.uid().isEmpty() ? metadata.withUid(UUID.randomUUID().toString()) : metadata;
    return named.withCreationTimestamp(Instant.now().truncatedTo(ChronoUnit.SECONDS).toString());
  }

  static KubeObject withMetadata(KubeObject object, Metadata metadata) {
    return switch (object) {
      case Namespace namespace -> new Namespace(metadata);
      case ServiceAccount account -> new ServiceAccount(metadata);
      case Node node -> new Node(metadata, node.addresses(), node.podCidrs(), node.conditions());
      case ConfigMap map -> new ConfigMap(metadata, map.data(), map.binaryData());
      case Secret secret -> new Secret(metadata, secret.type(), secret.data());
      case Pod pod -> pod.withMetadata(metadata);
      case Deployment deployment ->
          new Deployment(
              metadata, deployment.replicas(), deployment.selector(), deployment.template());
      case ReplicaSet set ->
          new ReplicaSet(metadata, set.replicas(), set.selector(), set.template());
      case StatefulSet set ->
          new StatefulSet(
              metadata,
              set.replicas(),
              set.selector(),
              set.serviceName(),
              set.parallel(),
              set.template());
      case DaemonSet set -> new DaemonSet(metadata, set.selector(), set.template());
      case Job job ->
          new Job(
              metadata, job.completions(), job.parallelism(), job.backoffLimit(), job.template());
      case AccessPolicy policy ->
          new AccessPolicy(
              metadata,
              policy.targets(),
              policy.decides(),
              policy.action(),
              policy.shadow(),
              policy.mtls(),
              policy.from(),
              policy.to());
      case EndpointSlice slice ->
          new EndpointSlice(metadata, slice.addressType(), slice.endpoints(), slice.ports());
      case Service service ->
          new Service(
              metadata,
              service.type(),
              service.headless(),
              service.clusterIps(),
              service.selector(),
              service.ports(),
              service.externalName(),
              service.ipFamilies(),
              service.ipFamilyPolicy(),
              service.publishNotReadyAddresses(),
              service.localOnly(),
              service.clientAffinity(),
              service.affinityTimeoutSeconds(),
              service.preference());
    };
  }
}

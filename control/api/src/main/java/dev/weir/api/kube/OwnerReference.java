package dev.weir.api.kube;

/** Who made an object. */
public record OwnerReference(
    String apiVersion, String kind, String name, String uid, boolean controller) {}

package dev.weir.api.kube;

import dev.weir.api.yaml.Location;

/** An object and where it was read. */
public record Manifest(KubeObject object, Location where) {}

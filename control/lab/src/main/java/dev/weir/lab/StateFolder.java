package dev.weir.lab;

import dev.weir.api.kube.KubeObject;
import dev.weir.api.kube.ManifestWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/**
 * The cluster's state as the control plane's directory source reads it: a file an object, each
 * written whole or not at all. Only what changed is written. Desk only: a file is a few hundred
 * bytes on a tmpfs.
 */
final class StateFolder {
  private final Path folder;
  private final Map<String, KubeObject> written = new HashMap<>();

  StateFolder(Path folder) {
    this.folder = folder;
  }

  void show(Collection<? extends KubeObject> objects) {
    Set<String> wanted = new HashSet<>();
    try {
      Files.createDirectories(folder);
      for (KubeObject object : objects) {
        String name = name(object);
        wanted.add(name);
        if (!object.equals(written.get(name))) {
          Path fresh = folder.resolve("." + name + ".new");
          Files.writeString(fresh, ManifestWriter.yaml(List.of(object)));
          Files.move(fresh, folder.resolve(name), StandardCopyOption.ATOMIC_MOVE);
          written.put(name, object);
        }
      }
      for (String name : Set.copyOf(written.keySet())) {
        if (!wanted.contains(name)) {
          Files.deleteIfExists(folder.resolve(name));
          written.remove(name);
        }
      }
    } catch (IOException e) {
      throw new LabException(
          folder + ": the cluster's state cannot be written: " + e.getMessage(), e);
    }
  }

  private static String name(KubeObject object) {
    String kind = object.kind().toLowerCase(Locale.ROOT);
    return object.namespace().isEmpty()
        ? kind + "." + object.name() + ".yaml"
        : kind + "." + object.namespace() + "." + object.name() + ".yaml";
  }
}

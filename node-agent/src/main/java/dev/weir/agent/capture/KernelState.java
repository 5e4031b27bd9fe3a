package dev.weir.agent.capture;

import dev.weir.agent.log.Log;
import dev.weir.bpf.Programs;
import dev.weir.ffi.Bpf;
import dev.weir.ffi.Bpf.BpfLink;
import dev.weir.ffi.Bpf.BpfMap;
import dev.weir.ffi.Bpf.BpfObject;
import dev.weir.ffi.Bpf.BpfProgram;
import dev.weir.ffi.Fd;
import dev.weir.ffi.Kernel;
import dev.weir.ffi.KernelException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Programs, maps and cgroup links, and their pins:
 *
 * <pre>
 *   BPFFS/maps/NAME          reused by the next agent where key and value sizes fit
 *   BPFFS/links/NAME         the programs under them are swapped, so there is no gap
 *   BPFFS/pods/COOKIE/…      tcx links ({@link PodLinks})
 *   BPFFS/layout             a folder whose one entry names the version of the layouts
 * </pre>
 *
 * Where a single map does not fit, none is reused: maps refer to each other by numbers, so half of
 * an old state would be worse than none. Then the new maps are filled by the enroller's snapshot
 * and the old ones go with the last link that used them.
 */
final class KernelState implements AutoCloseable {
  /** To be raised with any change of a struct's meaning that leaves its size. */
  private static final String LAYOUT = "1";

  private final Kernel kernel;
  private final Path bpffs;
  private final BpfObject object;
  private final Map<String, BpfMap> maps;
  private final boolean adopted;
  private final Log log;

  private KernelState(
      Kernel kernel,
      Path bpffs,
      BpfObject object,
      Map<String, BpfMap> maps,
      boolean adopted,
      Log log) {
    this.kernel = kernel;
    this.bpffs = bpffs;
    this.object = object;
    this.maps = maps;
    this.adopted = adopted;
    this.log = log;
  }

  static KernelState open(Kernel kernel, Path cgroup, Path bpffs, byte[] elf, Log log) {
    if (!Files.isRegularFile(cgroup.resolve("cgroup.procs"))) {
      throw new CaptureException(
          "%s is no cgroup2 folder; mount cgroup2 and name a folder in it".formatted(cgroup));
    }
    mount(kernel, bpffs);
    boolean sameLayout = layoutFits(bpffs);
    KernelState state = sameLayout ? load(kernel, bpffs, elf, true, log) : null;
    if (state == null) {
      state = load(kernel, bpffs, elf, false, log);
    }
    if (state == null) {
      throw new CaptureException("%s: maps neither reused nor replaced".formatted(bpffs));
    }
    try {
      state.pinMaps();
      state.attach(cgroup);
      return state;
    } catch (KernelException | UncheckedIOException e) {
      state.close();
      throw e;
    }
  }

  private static void mount(Kernel kernel, Path bpffs) {
    Path existing = bpffs.toAbsolutePath();
    for (Path up = existing; up != null && !Files.isDirectory(existing); up = up.getParent()) {
      existing = up;
    }
    try {
      if (!Files.getFileStore(existing).type().equals("bpf")) {
        Path usual = Path.of("/sys/fs/bpf");
        kernel.bpf().mountBpffs(bpffs.startsWith(usual) ? usual : Files.createDirectories(bpffs));
      }
      Files.createDirectories(bpffs.resolve("maps"));
      Files.createDirectories(bpffs.resolve("links"));
      Files.createDirectories(bpffs.resolve("pods"));
      Files.createDirectories(bpffs.resolve("layout"));
    } catch (IOException e) {
      throw new UncheckedIOException("%s: no bpffs to pin to".formatted(bpffs), e);
    }
  }

  private static boolean layoutFits(Path bpffs) {
    List<Path> versions = PodLinks.list(bpffs.resolve("layout"));
    return versions.size() == 1 && versions.getFirst().endsWith(LAYOUT);
  }

  /** Null where reuse was asked for and a map does not fit. */
  private static @Nullable KernelState load(
      Kernel kernel, Path bpffs, byte[] elf, boolean reuse, Log log) {
    BpfObject object = kernel.bpf().open(elf, Programs.OBJECT);
    List<BpfMap> reused = new ArrayList<>();
    boolean done = false;
    try {
      for (String name : Programs.MAPS) {
        Optional<BpfMap> pinned =
            reuse
                ? kernel.bpf().openPinnedMap(bpffs.resolve("maps").resolve(name))
                : Optional.empty();
        if (pinned.isEmpty()) {
          continue;
        }
        reused.add(pinned.get());
        try {
          object.reuseMap(name, pinned.get());
        } catch (KernelException e) {
          log.warn("a former agent's maps do not fit and are replaced", "cause", e.getMessage());
          return null;
        }
      }
      object.load();
      Map<String, BpfMap> maps = new HashMap<>();
      for (String name : Programs.MAPS) {
        maps.put(name, object.map(name));
      }
      done = true;
      return new KernelState(kernel, bpffs, object, maps, !reused.isEmpty(), log);
    } finally {
      reused.forEach(BpfMap::close);
      if (!done) {
        object.close();
      }
    }
  }

  private void pinMaps() {
    Path folder = bpffs.resolve("maps");
    if (!adopted) {
      PodLinks.list(folder).forEach(PodLinks::delete);
      PodLinks.list(bpffs.resolve("layout")).forEach(PodLinks::delete);
    }
    maps.forEach((name, map) -> {
      Path pin = folder.resolve(name);
      if (!Files.exists(pin)) {
        map.pin(pin);
      }
    });
    PodLinks.createFolder(bpffs.resolve("layout").resolve(LAYOUT));
  }

  private void attach(Path cgroup) {
    object.program(Programs.JOIN).attachToMap(map(Programs.JOINABLE), Programs.SK_MSG_VERDICT);
    try (Fd folder = kernel.namespaces().open(cgroup)) {
      // sockops first: what connect4 turns away is only published by it.
      for (Programs.CgroupProgram hook : Programs.CGROUP.reversed()) {
        attach(folder, hook);
      }
    }
  }

  private void attach(Fd cgroup, Programs.CgroupProgram hook) {
    Path pin = bpffs.resolve("links").resolve(hook.name());
    BpfProgram program = object.program(hook.name());
    Optional<BpfLink> standing = kernel.bpf().openPinnedLink(pin);
    if (standing.isPresent()) {
      try (BpfLink link = standing.get()) {
        link.update(program);
        return;
      } catch (KernelException e) {
        // ENOLINK: the cgroup that it was on has gone and the folder is a new one.
        log.debug("link replaced", "pin", pin, "cause", e.getMessage());
      }
      PodLinks.delete(pin);
    }
    try (BpfLink link = program.attachCgroup(cgroup.number(), hook.attachType())) {
      link.pin(pin);
    }
  }

  /** Whether maps of a former agent are in use. */
  boolean adopted() {
    return adopted;
  }

  BpfMap map(String name) {
    BpfMap map = maps.get(name);
    if (map == null) {
      throw new IllegalArgumentException(
          "map: %s (expected: one of %s)".formatted(name, maps.keySet()));
    }
    return map;
  }

  /** What the map that is pinned under the name holds, be it this agent's or another's. */
  byte @Nullable [] pinned(String name, byte[] key) {
    Optional<BpfMap> pinned = kernel.bpf().openPinnedMap(bpffs.resolve("maps").resolve(name));
    if (pinned.isEmpty()) {
      return null;
    }
    try (BpfMap map = pinned.get()) {
      return map.lookup(key);
    }
  }

  BpfProgram program(String name) {
    return object.program(name);
  }

  Bpf bpf() {
    return kernel.bpf();
  }

  Path pods() {
    return bpffs.resolve("pods");
  }

  /** Takes links and pins away; what no process holds any more is gone then. */
  void uninstall() {
    for (Path pin : PodLinks.list(bpffs.resolve("links"))) {
      kernel
          .bpf()
          .openPinnedLink(pin)
          .ifPresent(link -> {
            try (link) {
              link.detach();
            } catch (KernelException e) {
              // The cgroup went first.
              log.debug("link not detached", "pin", pin, "cause", e.getMessage());
            }
          });
      PodLinks.delete(pin);
    }
    object.program(Programs.JOIN).detachFromMap(map(Programs.JOINABLE), Programs.SK_MSG_VERDICT);
    PodLinks.list(bpffs.resolve("maps")).forEach(PodLinks::delete);
    PodLinks.list(bpffs.resolve("layout")).forEach(PodLinks::delete);
    for (String folder : List.of("maps", "links", "pods", "layout")) {
      PodLinks.delete(bpffs.resolve(folder));
    }
    PodLinks.delete(bpffs);
  }

  @Override
  public void close() {
    object.close();
  }
}

package dev.weir.agent.capture;

import dev.weir.agent.log.Log;
import dev.weir.bpf.Programs;
import dev.weir.ffi.Bpf.BpfLink;
import dev.weir.ffi.Bpf.BpfProgram;
import dev.weir.ffi.Fd;
import dev.weir.ffi.Kernel;
import dev.weir.ffi.KernelException;
import dev.weir.ffi.Netlink;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * The tcx links on a pod's own interfaces, pinned as {@code pods/COOKIE/ingress-IFINDEX} and {@code
 * egress-IFINDEX}. On the capture thread.
 */
final class PodLinks {
  private final Kernel kernel;
  private final Path pods;
  private final BpfProgram ingress;
  private final BpfProgram egress;
  private final Log log;

  PodLinks(Kernel kernel, Path pods, BpfProgram ingress, BpfProgram egress, Log log) {
    this.kernel = kernel;
    this.pods = pods;
    this.ingress = ingress;
    this.egress = egress;
    this.log = log;
  }

  /**
   * Every interface but lo carries both programs afterwards; links that stand get this agent's
   * programs with no gap.
   */
  void attach(Fd netns, long cookie, List<Netlink.Interface> interfaces) {
    Path folder = folder(cookie);
    createFolder(folder);
    for (Netlink.Interface device : interfaces) {
      if (!device.loopback()) {
        attachBoth(netns, folder, device);
      }
    }
  }

  /** Interfaces that came since; what stands is left alone. */
  void attachNew(Fd netns, long cookie, List<Netlink.Interface> interfaces) {
    Path folder = folder(cookie);
    for (Netlink.Interface device : interfaces) {
      if (!device.loopback() && !Files.exists(folder.resolve("egress-" + device.index()))) {
        attachBoth(netns, folder, device);
      }
    }
  }

  private void attachBoth(Fd netns, Path folder, Netlink.Interface device) {
    Path in = folder.resolve("ingress-" + device.index());
    Path out = folder.resolve("egress-" + device.index());
    attach(netns, in, ingress, device, Programs.TCX_INGRESS);
    attach(netns, out, egress, device, Programs.TCX_EGRESS);
  }

  private void attach(
      Fd netns, Path pin, BpfProgram program, Netlink.Interface device, int attachType) {
    Optional<BpfLink> standing = kernel.bpf().openPinnedLink(pin);
    if (standing.isPresent()) {
      try (BpfLink link = standing.get()) {
        link.update(program);
        return;
      } catch (KernelException e) {
        // ENOLINK: the interface that it was on has gone, and its number came back.
        log.debug("link replaced", "pin", pin, "cause", e.getMessage());
      }
      delete(pin);
    }
    kernel
        .namespaces()
        .inNetwork(
            netns,
            () -> {
              try (BpfLink link = program.attachTcx(device.index(), attachType)) {
                link.pin(pin);
              } catch (KernelException e) {
                throw new CaptureException(
                    "cannot watch interface %s: %s (tcx needs Linux 6.6 or later)"
                        .formatted(device.name(), e.getMessage()),
                    e);
              }
              return true;
            });
  }

  /** The programs leave the pod's interfaces now. */
  void detach(long cookie) {
    Path folder = folder(cookie);
    for (Path pin : list(folder)) {
      kernel
          .bpf()
          .openPinnedLink(pin)
          .ifPresent(link -> {
            try (link) {
              link.detach();
            } catch (KernelException e) {
              // The interface went first.
              log.debug("link not detached", "pin", pin, "cause", e.getMessage());
            }
          });
      delete(pin);
    }
    delete(folder);
  }

  /** Namespaces that have links here. */
  List<Long> cookies() {
    List<Long> cookies = new ArrayList<>();
    for (Path folder : list(pods)) {
      cookies.add(Long.parseUnsignedLong(String.valueOf(folder.getFileName()), 16));
    }
    return cookies;
  }

  private Path folder(long cookie) {
    return pods.resolve(Long.toHexString(cookie));
  }

  static void createFolder(Path folder) {
    try {
      Files.createDirectories(folder);
    } catch (IOException e) {
      throw new UncheckedIOException("%s: cannot make the folder for pins".formatted(folder), e);
    }
  }

  static List<Path> list(Path folder) {
    try (Stream<Path> entries = Files.list(folder)) {
      return entries.sorted().toList();
    } catch (NoSuchFileException e) {
      return List.of();
    } catch (IOException e) {
      throw new UncheckedIOException("%s: cannot list pins".formatted(folder), e);
    }
  }

  static void delete(Path pin) {
    try {
      Files.deleteIfExists(pin);
    } catch (IOException e) {
      throw new UncheckedIOException("%s: cannot take the pin away".formatted(pin), e);
    }
  }
}

package dev.weir.ffi;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.weir.testing.NeedsKernel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.ValueSource;

@NeedsKernel
@ParameterizedClass
@ValueSource(strings = {"ffm", "jnr"})
class NamespacesContractTest {
  @Parameter String binding = "";
  @TempDir Path folder = Path.of("");

  private Namespaces namespaces() {
    return Binding.named(binding).namespaces();
  }

  @Test
  void aNewNetworkIsAnotherOneWithItsLoopbackUp() {
    Kernel kernel = Binding.named(binding);
    try (Fd home = kernel.namespaces().current();
        Fd away = kernel.namespaces().newNetwork()) {
      assertThat(kernel.namespaces().inode(away)).isNotEqualTo(kernel.namespaces().inode(home));
      assertThat(kernel.namespaces().inNetwork(away, kernel.netlink()::interfaces))
          .singleElement()
          .satisfies(loopback -> {
            assertThat(loopback.name()).isEqualTo("lo");
            assertThat(loopback.loopback()).isTrue();
            assertThat(loopback.up()).isTrue();
            assertThat(loopback.addresses())
                .extracting(each -> each.getHostAddress())
                .contains("127.0.0.1");
          });
    }
  }

  @Test
  void workRunsInsideAndTheThreadComesHome() {
    Namespaces namespaces = namespaces();
    try (Fd home = namespaces.current();
        Fd away = namespaces.newNetwork()) {
      long inside = namespaces.inNetwork(away, () -> inodeHere(namespaces));
      assertThat(inside).isEqualTo(namespaces.inode(away));
      assertThat(inodeHere(namespaces)).isEqualTo(namespaces.inode(home));
    }
  }

  @Test
  void theThreadComesHomeFromWorkThatThrows() {
    Namespaces namespaces = namespaces();
    try (Fd home = namespaces.current();
        Fd away = namespaces.newNetwork()) {
      assertThatThrownBy(() ->
              namespaces.inNetwork(
                  away,
                  () -> {
                    throw new IllegalArgumentException("inside");
                  }))
          .hasMessage("inside");
      assertThat(inodeHere(namespaces)).isEqualTo(namespaces.inode(home));
    }
  }

  @Test
  void enteringWhatIsNoNamespaceSaysSoAndStaysHome() {
    Namespaces namespaces = namespaces();
    try (Fd file = namespaces.open(Path.of("/proc/self/stat"))) {
      long home = inodeHere(namespaces);
      assertThatThrownBy(() -> namespaces.inNetwork(file, () -> "inside"))
          .isInstanceOfSatisfying(
              KernelException.class,
              e -> {
                assertThat(e.call()).isEqualTo("setns");
                assertThat(e.errno()).isEqualTo(Errno.EINVAL);
              });
      assertThat(inodeHere(namespaces)).isEqualTo(home);
    }
  }

  @Test
  void entersTheCallingThreadForGood() throws Exception {
    Namespaces namespaces = namespaces();
    try (Fd away = namespaces.newNetwork()) {
      long seen =
          onAThread(() -> {
            namespaces.enter(away, LinuxNamespaces.CLONE_NEWNET);
            return inodeHere(namespaces);
          });
      assertThat(seen).isEqualTo(namespaces.inode(away)).isNotEqualTo(inodeHere(namespaces));
    }
  }

  @Test
  void aMissingNamespaceFileIsNamed() {
    assertThatThrownBy(() -> namespaces().open(Path.of("/run/netns/weir-native-nowhere")))
        .isInstanceOf(KernelException.class)
        .hasMessage("open: ENOENT (No such file or directory): /run/netns/weir-native-nowhere");
  }

  @Test
  void theCookieIsTheSameThroughEveryDescriptorAndDiffersBetweenNamespaces() {
    Namespaces namespaces = namespaces();
    try (Fd one = namespaces.newNetwork();
        Fd two = namespaces.newNetwork();
        Fd again = namespaces.open(Path.of("/proc/self/fd/" + one.number()))) {
      assertThat(namespaces.cookie(one)).isNotZero().isEqualTo(namespaces.cookie(again));
      assertThat(namespaces.inode(one)).isEqualTo(namespaces.inode(again));
      assertThat(namespaces.cookie(two)).isNotEqualTo(namespaces.cookie(one));
    }
  }

  @Test
  void mountsOfAnUnsharedThreadAreItsOwnAndAnotherThreadCanEnterThem() throws Exception {
    Namespaces namespaces = namespaces();
    Path target = Files.createDirectory(folder.resolve("mnt"));
    Fd mounts =
        onAThread(() -> {
          namespaces.unshareMounts();
          namespaces.mount("weir", target, "tmpfs", 0, "size=64k,mode=0700");
          Files.writeString(target.resolve("inside"), "seen");
          return namespaces.open(Path.of("/proc/thread-self/ns/mnt"));
        });
    try (mounts) {
      assertThat(target.resolve("inside")).doesNotExist();
      assertThat(
              onAThread(() -> {
                namespaces.enter(mounts, LinuxNamespaces.CLONE_NEWNS);
                String read = Files.readString(target.resolve("inside"));
                namespaces.unmount(target, 0);
                return read + Files.exists(target.resolve("inside"));
              }))
          .isEqualTo("seenfalse");
    }
  }

  @Test
  void aMountThatTheKernelRefusesIsToldWithItsArguments() {
    assertThatThrownBy(() -> namespaces().mount("x", folder.resolve("none"), "tmpfs", 0, ""))
        .isInstanceOf(KernelException.class)
        .hasMessageContaining("mount: ENOENT")
        .hasMessageContaining(folder.resolve("none").toString());
  }

  @Test
  void aVirtualThreadIsRefusedSinceItsCarrierIsNotItsOwn() throws Exception {
    Namespaces namespaces = namespaces();
    FutureTask<Fd> task = new FutureTask<>(namespaces::current);
    Thread.ofVirtual().start(task);
    assertThatThrownBy(() -> task.get(10, TimeUnit.SECONDS)).hasMessageContaining("virtual thread");
  }

  @Test
  void aClosedDescriptorRefusesToBeUsed() {
    Fd here = namespaces().current();
    assertThat(here.isOpen()).isTrue();
    here.close();
    here.close();
    assertThat(here.isOpen()).isFalse();
    assertThatThrownBy(here::number).hasMessageContaining("closed (expected: open)");
  }

  private static long inodeHere(Namespaces namespaces) {
    try (Fd here = namespaces.current()) {
      return namespaces.inode(here);
    }
  }

  private static <T> T onAThread(Callable<T> work) throws Exception {
    FutureTask<T> task = new FutureTask<>(work);
    Thread.ofPlatform().daemon().start(task);
    return task.get(10, TimeUnit.SECONDS);
  }
}

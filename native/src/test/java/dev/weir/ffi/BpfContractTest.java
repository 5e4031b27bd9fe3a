package dev.weir.ffi;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.weir.testing.Cgroup2;
import dev.weir.testing.NeedsKernel;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.ValueSource;

@NeedsKernel
@ParameterizedClass
@ValueSource(strings = {"ffm", "jnr"})
class BpfContractTest {
  private static final int BPF_MAP_TYPE_HASH = 1;
  private static final int BPF_PROG_TYPE_SCHED_CLS = 3;
  private static final int BPF_PROG_TYPE_CGROUP_SOCK_ADDR = 18;
  private static final int BPF_FUNC_MAP_LOOKUP_ELEM = 1;
  private static final int BPF_FUNC_SK_ASSIGN = 124;
  private static final int BPF_CGROUP_INET4_CONNECT = 10;
  private static final int BPF_SK_MSG_VERDICT = 7;
  private static final int BPF_TCX_INGRESS = 46;
  private static final int UNUSED_TYPE = 4711;

  @Parameter String binding = "";
  @TempDir Path folder = Path.of("");

  private Kernel kernel;
  private Bpf bpf;
  private Path pins;
  private Path cgroup;

  @BeforeEach
  void makeFolders() throws IOException {
    kernel = Binding.named(binding);
    bpf = kernel.bpf();
    pins = Path.of("/sys/fs/bpf/weir-native-" + ProcessHandle.current().pid());
    bpf.mountBpffs(Path.of("/sys/fs/bpf"));
    Files.createDirectories(pins);
    cgroup = Cgroup2.root().orElseThrow().resolve("weir-native-" + ProcessHandle.current().pid());
    Files.createDirectories(cgroup);
  }

  @AfterEach
  void removeFolders() throws IOException {
    try (var left = Files.list(pins)) {
      for (Path pin : left.toList()) {
        Files.delete(pin);
      }
    }
    Files.delete(pins);
    Files.delete(cgroup);
  }

  private Bpf.BpfObject contract() {
    return bpf.open(Clang.compiled("contract.bpf.c"), "contract");
  }

  private Bpf.BpfObject loaded() {
    Bpf.BpfObject object = contract();
    object.load();
    return object;
  }

  @Test
  void libbpfTellsItsVersion() {
    assertThat(bpf.libbpfVersion()).matches("1\\.\\d+");
  }

  @Test
  void anObjectListsItsMapsAndPrograms() {
    try (Bpf.BpfObject object = contract()) {
      assertThat(object.mapNames())
          .contains(
              "hash",
              "lru",
              "trie",
              "percpu",
              "shared",
              "events",
              "socks",
              "contract.rodata",
              "contract.bss");
      assertThat(object.programNames())
          .contains(
              "burst",
              "mark_first_byte",
              "pass_all",
              "drop_all",
              "refuse_port",
              "allow_all",
              "pass_message");
      assertThatThrownBy(() -> object.map("nosuch"))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("map nosuch: not in contract")
          .hasMessageContaining("hash");
      assertThatThrownBy(() -> object.map("hash")).hasMessageContaining("not loaded");
    }
  }

  @Test
  void whatIsNoElfIsRefusedByName() {
    assertThatThrownBy(() -> bpf.open("no elf at all".getBytes(UTF_8), "nonsense"))
        .isInstanceOf(KernelException.class)
        .hasMessageContaining("bpf_object__open")
        .hasMessageContaining("nonsense")
        .hasMessageContaining("libbpf: ");
  }

  @Test
  void aMapTellsWhatItIsAndHoldsEntries() {
    try (Bpf.BpfObject object = loaded()) {
      Bpf.BpfMap hash = object.map("hash");
      assertThat(hash.name()).isEqualTo("hash");
      assertThat(hash.type()).isEqualTo(BPF_MAP_TYPE_HASH);
      assertThat(hash.keySize()).isEqualTo(4);
      assertThat(hash.valueSize()).isEqualTo(8);
      assertThat(hash.maxEntries()).isEqualTo(4096);
      assertThat(hash.id()).isPositive();
      assertThat(hash.lookup(key(1))).isNull();
      hash.update(key(1), value(11));
      assertThat(hash.lookup(key(1))).isEqualTo(value(11));
      assertThatThrownBy(() -> hash.update(key(1), value(12), 1))
          .isInstanceOfSatisfying(
              KernelException.class, e -> assertThat(e.errno()).isEqualTo(Errno.EEXIST));
      assertThatThrownBy(() -> hash.update(key(2), value(12), 2))
          .isInstanceOfSatisfying(
              KernelException.class, e -> assertThat(e.errno()).isEqualTo(Errno.ENOENT));
      hash.update(key(5), value(55));
      assertThat(hash.take(key(5))).isEqualTo(value(55));
      assertThat(hash.take(key(5))).isNull();
      object.map("lru").update(key(6), value(66));
      assertThat(object.map("lru").take(key(6))).isEqualTo(value(66));
      assertThat(object.map("lru").lookup(key(6))).isNull();
      assertThat(hash.delete(key(1))).isTrue();
      assertThat(hash.delete(key(1))).isFalse();
      assertThatThrownBy(() -> hash.update(new byte[3], value(1)))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage("key of map hash: 3 bytes (expected: 4)");
      assertThatThrownBy(() -> hash.update(key(1), new byte[4]))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage("value of map hash: 4 bytes (expected: 8)");
    }
  }

  @Test
  void everyEntryIsVisitedOnceInBatchesAndOneByOne() {
    try (Bpf.BpfObject object = loaded()) {
      for (String name : List.of("hash", "lru")) {
        Bpf.BpfMap map = object.map(name);
        assertThat(entries(map)).isEmpty();
        Map<Integer, Long> expected = new HashMap<>();
        for (int i = 0; i < 2000; i++) {
          map.update(key(i), value(i * 3L));
          expected.put(i, i * 3L);
        }
        assertThat(entries(map)).as(name).isEqualTo(expected);
      }
      Bpf.BpfMap trie = object.map("trie");
      for (int i = 0; i < 700; i++) {
        trie.update(prefix(i), key(i));
      }
      List<Integer> seen = new ArrayList<>();
      trie.forEach((key, value) -> seen.add(number(value)));
      assertThat(seen)
          .containsExactlyInAnyOrderElementsOf(IntStream.range(0, 700).boxed().toList());
      List<Integer> array = new ArrayList<>();
      object.map("shared").forEach((key, value) -> array.add(number(key)));
      assertThat(array).hasSize(1000).doesNotHaveDuplicates();
    }
  }

  private static Map<Integer, Long> entries(Bpf.BpfMap map) {
    Map<Integer, Long> entries = new HashMap<>();
    map.forEach((key, value) ->
        assertThat(
                entries.put(
                    number(key), ByteBuffer.wrap(value).order(ByteOrder.nativeOrder()).getLong()))
            .isNull());
    return entries;
  }

  @Test
  void aPerCpuMapGivesEveryCpuItsValue() {
    try (Bpf.BpfObject object = loaded()) {
      Bpf.BpfMap percpu = object.map("percpu");
      byte[] values = Objects.requireNonNull(percpu.lookup(key(1)));
      assertThat(values.length % 8).isZero();
      assertThat(values.length / 8)
          .isGreaterThanOrEqualTo(Runtime.getRuntime().availableProcessors());
      values[8] = 42;
      percpu.update(key(1), values);
      assertThat(percpu.lookup(key(1))).isEqualTo(values);
    }
  }

  @Test
  void anArrayIsSharedWithTheKernelByMmap() {
    try (Bpf.BpfObject object = loaded()) {
      Bpf.BpfMap shared = object.map("shared");
      ByteBuffer cells = shared.mmap();
      assertThat(cells.capacity()).isEqualTo(8000);
      shared.update(key(999), value(77));
      assertThat(cells.getLong(999 * 8)).isEqualTo(77);
      cells.putLong(8, 5);
      assertThat(shared.lookup(key(1))).isEqualTo(value(5));
      object.program("mark_first_byte").testRun(new byte[64], null, 3);
      assertThat(cells.getLong(0)).isEqualTo(3);
      ByteBuffer constants = object.map("contract.rodata").mmap();
      assertThat(constants.capacity()).isPositive();
    }
  }

  @Test
  void aMapThatCannotBeMappedSaysSo() {
    try (Bpf.BpfObject object = loaded()) {
      assertThatThrownBy(() -> object.map("hash").mmap())
          .isInstanceOf(KernelException.class)
          .hasMessageContaining("mmap")
          .hasMessageContaining("map hash");
    }
  }

  @Test
  void globalsAreSetBeforeLoadAndOnlyThen() {
    try (Bpf.BpfObject object = contract()) {
      object.setGlobal("stamp", value(0x5eed));
      assertThatThrownBy(() -> object.setGlobal("stamp", key(1)))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage("global stamp: 4 bytes (expected: 8)");
      assertThatThrownBy(() -> object.setGlobal("nosuch", key(1)))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("global nosuch: not in contract");
      object.load();
      List<Long> stamps = new ArrayList<>();
      try (Bpf.RingBuffer ring =
          bpf.ringBuffer(object.map("events"), record -> stamps.add(record.getLong(8)))) {
        burst(object, 1, 0);
        assertThat(ring.poll(Duration.ZERO)).isEqualTo(1);
      }
      assertThat(stamps).containsExactly(0x5eedL);
      assertThatThrownBy(() -> object.setGlobal("stamp", value(1)))
          .hasMessageContaining("loaded (expected: opened, not loaded)");
    }
  }

  @Test
  void theVerifierSLogEndsTheException() {
    try (Bpf.BpfObject object = bpf.open(Clang.compiled("rejected.bpf.c"), "rejected")) {
      assertThatThrownBy(object::load)
          .isInstanceOfSatisfying(
              KernelException.class, e -> assertThat(e.errno()).isEqualTo(Errno.EACCES))
          .hasMessageStartingWith("bpf_object__load: EACCES (Permission denied): rejected")
          .hasMessageContaining("reads_past_the_end")
          .hasMessageContaining("invalid access to packet");
      assertThat(object.verifierLogs().get("reads_past_the_end"))
          .contains("invalid access to packet");
    }
  }

  @Test
  void aProgramThatWasSkippedIsNotLoaded() {
    try (Bpf.BpfObject object = contract()) {
      object.skipProgram("drop_all");
      object.load();
      assertThatThrownBy(() -> object.program("drop_all"))
          .hasMessageContaining("drop_all of contract was not loaded");
      assertThat(object.program("pass_all").id()).isPositive();
    }
  }

  @Test
  void theVerifierIsSilentUnlessAskedToSpeak() {
    try (Bpf.BpfObject quiet = loaded();
        Bpf.BpfObject talking = contract()) {
      assertThat(quiet.verifierLogs())
          .isNotEmpty()
          .allSatisfy((program, log) -> assertThat(log).isEmpty());
      talking.logLevel(4);
      talking.load();
      assertThat(talking.verifierLogs())
          .allSatisfy((program, log) -> assertThat(log).contains("processed"));
    }
  }

  @Test
  void mapsAreResizedAndReusedBeforeLoad() {
    try (Bpf.BpfObject first = contract();
        Bpf.BpfObject second = contract()) {
      first.resizeMap("hash", 17);
      first.load();
      assertThat(first.map("hash").maxEntries()).isEqualTo(17);
      first.map("hash").update(key(3), value(33));
      second.reuseMap("hash", first.map("hash"));
      assertThatThrownBy(() -> second.reuseMap("trie", first.map("hash")))
          .isInstanceOf(KernelException.class)
          .hasMessageContaining("trie of contract: its type is 1 (expected: 11)");
      assertThatThrownBy(() -> second.reuseMap("lru", first.map("hash")))
          .isInstanceOf(KernelException.class);
      second.load();
      assertThat(second.map("hash").id()).isEqualTo(first.map("hash").id());
      assertThat(second.map("hash").lookup(key(3))).isEqualTo(value(33));
    }
  }

  @Test
  void pinsOutliveTheirObject() throws IOException {
    int id;
    try (Bpf.BpfObject object = loaded()) {
      object.map("hash").update(key(9), value(99));
      object.map("hash").pin(pins.resolve("hash"));
      object.program("pass_all").pin(pins.resolve("pass_all"));
      id = object.map("hash").id();
    }
    try (Bpf.BpfMap hash = bpf.openPinnedMap(pins.resolve("hash")).orElseThrow();
        Bpf.BpfProgram program = bpf.openPinnedProgram(pins.resolve("pass_all")).orElseThrow()) {
      assertThat(hash.id()).isEqualTo(id);
      assertThat(hash.name()).isEqualTo("hash");
      assertThat(hash.lookup(key(9))).isEqualTo(value(99));
      assertThat(program.name()).isEqualTo("pass_all");
      assertThat(program.testRun(new byte[64], null, 1).retval()).isZero();
      assertThatThrownBy(() -> hash.pin(pins.resolve("hash")))
          .isInstanceOf(KernelException.class)
          .hasMessageContaining("bpf_obj_pin: EEXIST");
    }
    assertThat(bpf.openPinnedMap(pins.resolve("nosuch"))).isEmpty();
    assertThat(bpf.openPinnedLink(pins.resolve("nosuch"))).isEmpty();
    assertThat(bpf.openPinnedProgram(pins.resolve("nosuch"))).isEmpty();
    assertThatThrownBy(() -> bpf.openPinnedMap(Path.of("/proc/self/stat")))
        .isInstanceOf(KernelException.class)
        .hasMessageContaining("/proc/self/stat");
  }

  @Test
  void aClosedPinnedMapRefusesToBeUsed() {
    try (Bpf.BpfObject object = loaded()) {
      object.map("hash").pin(pins.resolve("hash"));
      Bpf.BpfMap hash = bpf.openPinnedMap(pins.resolve("hash")).orElseThrow();
      hash.close();
      hash.close();
      assertThatThrownBy(() -> hash.lookup(key(1))).hasMessageContaining("closed (expected: open)");
    }
  }

  @Test
  void aTestRunGivesBackTheVerdictThePacketAndTheContext() {
    try (Bpf.BpfObject object = loaded()) {
      Bpf.BpfProgram program = object.program("mark_first_byte");
      byte[] packet = new byte[80];
      packet[20] = 7;
      byte[] context = new byte[192];
      ByteBuffer.wrap(context).order(ByteOrder.nativeOrder()).putInt(8, 41);
      Bpf.TestRun run = program.testRun(packet, context, 1);
      assertThat(run.retval()).isZero();
      assertThat(run.dataOut()).hasSize(80);
      assertThat(run.dataOut()[14]).isEqualTo((byte) 0xee);
      assertThat(run.dataOut()[20]).isEqualTo((byte) 7);
      assertThat(ByteBuffer.wrap(run.ctxOut()).order(ByteOrder.nativeOrder()).getInt(8))
          .isEqualTo(42);
      assertThat(program.testRun(new byte[200], null, 1000).retval()).isEqualTo(2);
      assertThat(program.testRun(new byte[200], null, 1000).each())
          .isLessThan(Duration.ofMillis(1));
      assertThatThrownBy(() -> program.testRun(new byte[1], null, 1))
          .isInstanceOf(KernelException.class)
          .hasMessageContaining("bpf_prog_test_run: EINVAL")
          .hasMessageContaining("mark_first_byte");
    }
  }

  @Test
  void aCgroupLinkActsIsSwappedAndOutlivesItsOwnerByItsPin() throws Exception {
    try (ServerSocket server = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
        Fd group = kernel.namespaces().open(cgroup);
        Bpf.BpfObject object = contract()) {
      int port = server.getLocalPort();
      object.setGlobal("refused_port", key(Short.toUnsignedInt(Short.reverseBytes((short) port))));
      object.load();
      assertThat(connects(port)).isTrue();
      try (Bpf.BpfLink link =
          object.program("refuse_port").attachCgroup(group.number(), BPF_CGROUP_INET4_CONNECT)) {
        assertThat(link.id()).isPositive();
        assertThat(connects(port)).isFalse();
        link.update(object.program("allow_all"));
        assertThat(connects(port)).isTrue();
        link.update(object.program("refuse_port"));
        link.pin(pins.resolve("link"));
      }
      assertThat(connects(port)).isFalse();
      try (Bpf.BpfLink adopted = bpf.openPinnedLink(pins.resolve("link")).orElseThrow()) {
        adopted.detach();
        assertThat(connects(port)).isTrue();
      }
    }
  }

  /** From a process in our cgroup: this one stays where it is. */
  private boolean connects(int port) throws Exception {
    Process shell =
        new ProcessBuilder(
                "bash",
                "-c",
                "echo $$ > %s/cgroup.procs && exec 3<>/dev/tcp/127.0.0.1/%d"
                    .formatted(cgroup, port))
            .redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
            .start();
    boolean connected = shell.waitFor() == 0;
    long deadline = System.nanoTime() + Duration.ofSeconds(5).toNanos();
    while (!Files.readString(cgroup.resolve("cgroup.procs")).isEmpty()
        && System.nanoTime() < deadline) {
      Thread.onSpinWait();
    }
    return connected;
  }

  @Test
  void aTcxLinkDropsAndPassesInItsNamespace() {
    try (Fd network = kernel.namespaces().newNetwork();
        Bpf.BpfObject object = loaded()) {
      kernel
          .namespaces()
          .inNetwork(
              network,
              () -> {
                try (ServerSocket server =
                        new ServerSocket(0, 5, InetAddress.getLoopbackAddress());
                    Bpf.BpfLink link = object.program("drop_all").attachTcx(1, BPF_TCX_INGRESS)) {
                  assertThat(reaches(server)).isFalse();
                  link.update(object.program("pass_all"));
                  assertThat(reaches(server)).isTrue();
                  link.update(object.program("drop_all"));
                  link.detach();
                  assertThat(reaches(server)).isTrue();
                } catch (IOException e) {
                  throw new UncheckedIOException(e);
                }
                return true;
              });
      assertThatThrownBy(() -> object.program("drop_all").attachTcx(4711, BPF_TCX_INGRESS))
          .isInstanceOf(KernelException.class)
          .hasMessageContaining("bpf_link_create: ENODEV")
          .hasMessageContaining("drop_all on interface 4711");
    }
  }

  private static boolean reaches(ServerSocket server) throws IOException {
    try (Socket client = new Socket()) {
      client.connect(
          new InetSocketAddress(InetAddress.getLoopbackAddress(), server.getLocalPort()), 200);
      return true;
    } catch (java.net.SocketTimeoutException e) {
      return false;
    }
  }

  @Test
  void aMapOwnsItsMessageVerdict() {
    try (Bpf.BpfObject object = loaded()) {
      Bpf.BpfProgram program = object.program("pass_message");
      program.attachToMap(object.map("socks"), BPF_SK_MSG_VERDICT);
      program.detachFromMap(object.map("socks"), BPF_SK_MSG_VERDICT);
      assertThatThrownBy(() -> program.attachToMap(object.map("hash"), BPF_SK_MSG_VERDICT))
          .isInstanceOf(KernelException.class)
          .hasMessageContaining("bpf_prog_attach")
          .hasMessageContaining("hash");
    }
  }

  @Test
  void theRingGivesEachRecordOnceInOrderAndSkipsDiscardedOnes() {
    try (Bpf.BpfObject object = loaded()) {
      List<Long> seen = new ArrayList<>();
      try (Bpf.RingBuffer ring =
          bpf.ringBuffer(
              object.map("events"),
              record -> {
                assertThat(record.remaining()).isEqualTo(24);
                seen.add(record.getLong(0));
              })) {
        assertThat(ring.poll(Duration.ofMillis(1))).isZero();
        burst(object, 10, 4);
        assertThat(ring.poll(Duration.ofSeconds(1))).isEqualTo(6);
        assertThat(seen).containsExactly(4L, 5L, 6L, 7L, 8L, 9L);
        assertThat(ring.poll(Duration.ZERO)).isZero();
        seen.clear();
        // 4096 bytes hold 128 of them; this goes round the ring many times.
        for (int round = 0; round < 50; round++) {
          burst(object, 60, 0);
          assertThat(ring.poll(Duration.ofSeconds(1))).isEqualTo(60);
        }
        assertThat(seen).hasSize(3000);
        assertThat(seen.subList(2940, 3000))
            .isEqualTo(IntStream.range(0, 60).mapToObj(i -> (long) i).toList());
      }
    }
  }

  @Test
  void aFullRingRefusesAndEmptiedTakesAgain() {
    try (Bpf.BpfObject object = loaded();
        Bpf.RingBuffer ring = bpf.ringBuffer(object.map("events"), record -> {})) {
      assertThat(burst(object, 64, 0)).isEqualTo(64);
      assertThat(burst(object, 64, 0)).isLessThan(64);
      assertThat(ring.poll(Duration.ZERO)).isGreaterThan(64);
      assertThat(burst(object, 64, 0)).isEqualTo(64);
    }
  }

  @Test
  void aSinkThatThrowsLosesItsRecordAndNotTheNext() {
    try (Bpf.BpfObject object = loaded()) {
      List<Long> seen = new ArrayList<>();
      try (Bpf.RingBuffer ring =
          bpf.ringBuffer(
              object.map("events"),
              record -> {
                if (record.getLong(0) == 1) {
                  throw new IllegalStateException("sink");
                }
                seen.add(record.getLong(0));
              })) {
        burst(object, 3, 0);
        assertThatThrownBy(() -> ring.poll(Duration.ZERO)).hasMessage("sink");
        assertThat(ring.poll(Duration.ZERO)).isEqualTo(1);
        assertThat(seen).containsExactly(0L, 2L);
      }
      assertThatThrownBy(() -> bpf.ringBuffer(object.map("hash"), record -> {}))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("map hash: type 1 (expected: 27, a ring buffer)");
    }
  }

  /** The records sent. */
  private static int burst(Bpf.BpfObject object, int records, int discarded) {
    byte[] context =
        ByteBuffer.allocate(12)
            .order(ByteOrder.nativeOrder())
            .putInt(records)
            .putInt(discarded)
            .putInt(0)
            .array();
    return ByteBuffer.wrap(object.program("burst").testRun(null, context, 1).ctxOut())
        .order(ByteOrder.nativeOrder())
        .getInt(8);
  }

  @Test
  void theKernelIsAskedWhatItCan() {
    assertThat(bpf.programTypeAvailable(BPF_PROG_TYPE_SCHED_CLS)).isTrue();
    assertThat(bpf.mapTypeAvailable(BPF_MAP_TYPE_HASH)).isTrue();
    assertThat(bpf.helperAvailable(BPF_PROG_TYPE_SCHED_CLS, BPF_FUNC_SK_ASSIGN)).isTrue();
    assertThat(bpf.helperAvailable(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_FUNC_SK_ASSIGN)).isFalse();
    assertThat(bpf.helperAvailable(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_FUNC_MAP_LOOKUP_ELEM))
        .isTrue();
    assertThatThrownBy(() -> bpf.programTypeAvailable(UNUSED_TYPE))
        .isInstanceOf(KernelException.class);
  }

  @Test
  void handMadeInstructionsAreLoadedOrRefusedWithTheVerifierSLog() throws Exception {
    byte[] returnOne = instructions(0xb7, 1, 0x95, 0);
    try (Fd group = kernel.namespaces().open(cgroup);
        Bpf.BpfProgram program =
            bpf.loadProgram(
                BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_CONNECT, returnOne, "return_one");
        Bpf.BpfLink link = program.attachCgroup(group.number(), BPF_CGROUP_INET4_CONNECT)) {
      assertThat(program.name()).isEqualTo("return_one");
      link.detach();
    }
    byte[] noExit = instructions(0xb7, 1);
    assertThatThrownBy(() -> bpf.loadProgram(BPF_PROG_TYPE_SCHED_CLS, 0, noExit, "no_exit"))
        .isInstanceOf(KernelException.class)
        .hasMessageContaining("bpf_prog_load: EINVAL")
        .hasMessageContaining("no_exit")
        .hasMessageContaining("last insn is not an exit");
  }

  /** Pairs of opcode and immediate; registers and offset are zero. */
  private static byte[] instructions(int... pairs) {
    ByteBuffer code = ByteBuffer.allocate(pairs.length / 2 * 8).order(ByteOrder.nativeOrder());
    for (int i = 0; i < pairs.length; i += 2) {
      code.put((byte) pairs[i]).put((byte) 0).putShort((short) 0).putInt(pairs[i + 1]);
    }
    return code.array();
  }

  @Test
  void aBpffsIsMountedWhereThereIsNone() throws Exception {
    Thread thread =
        Thread.ofPlatform()
            .start(() -> {
              kernel.namespaces().unshareMounts();
              bpf.mountBpffs(folder.resolve("bpf"));
              bpf.mountBpffs(folder.resolve("bpf"));
              try (Bpf.BpfObject object = loaded()) {
                object.map("hash").pin(folder.resolve("bpf/hash"));
                pinnedThere = bpf.openPinnedMap(folder.resolve("bpf/hash"));
              }
            });
    thread.join(Duration.ofSeconds(20));
    assertThat(pinnedThere).isPresent();
    pinnedThere.ifPresent(Bpf.BpfMap::close);
    assertThat(folder.resolve("bpf/hash")).doesNotExist();
  }

  private volatile Optional<Bpf.BpfMap> pinnedThere = Optional.empty();

  @Test
  void nothingIsLeftOpenAfterwards() throws Exception {
    loaded().close();
    long before = openDescriptors();
    for (int i = 0; i < 5; i++) {
      try (Bpf.BpfObject object = loaded();
          Bpf.RingBuffer ring = bpf.ringBuffer(object.map("events"), record -> {});
          Fd group = kernel.namespaces().open(cgroup);
          Bpf.BpfLink link =
              object.program("allow_all").attachCgroup(group.number(), BPF_CGROUP_INET4_CONNECT)) {
        burst(object, 3, 0);
        ring.poll(Duration.ZERO);
        object.map("shared").mmap();
        assertThat(link.id()).isPositive();
      }
    }
    assertThat(openDescriptors()).isEqualTo(before);
    assertThat(Files.readString(Path.of("/proc/self/maps"))).doesNotContain("bpf-map");
  }

  private static long openDescriptors() throws IOException {
    try (var open = Files.list(Path.of("/proc/self/fd"))) {
      return open.count();
    }
  }

  private static byte[] key(int number) {
    return ByteBuffer.allocate(4).order(ByteOrder.nativeOrder()).putInt(number).array();
  }

  private static byte[] value(long number) {
    return ByteBuffer.allocate(8).order(ByteOrder.nativeOrder()).putLong(number).array();
  }

  private static int number(byte[] bytes) {
    return ByteBuffer.wrap(bytes).order(ByteOrder.nativeOrder()).getInt();
  }

  /** A /32 of its own for every number. */
  private static byte[] prefix(int number) {
    return ByteBuffer.allocate(8)
        .order(ByteOrder.nativeOrder())
        .putInt(32)
        .order(ByteOrder.BIG_ENDIAN)
        .putInt(number)
        .array();
  }
}

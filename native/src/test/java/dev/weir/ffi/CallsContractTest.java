package dev.weir.ffi;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.ValueSource;

/** The seam itself: registers, errno and memory. Needs no root. */
@ParameterizedClass
@ValueSource(strings = {"ffm", "jnr"})
class CallsContractTest {
  private static final int PROT_READ_WRITE = 3;
  private static final int MAP_PRIVATE_ANONYMOUS = 0x22;

  @Parameter String binding = "";

  private Calls calls;
  private Memory memory;

  @BeforeEach
  void bind() {
    calls = binding.equals("ffm") ? new FfmCalls() : new JnrCalls();
    memory = new Memory(calls);
  }

  @Test
  void aFailureIsItsNegativeErrno() {
    assertThat(calls.call(Function.CLOSE, -1)).isEqualTo(-Errno.EBADF);
    try (Memory.Frame frame = memory.frame()) {
      assertThat(calls.call(Function.OPEN, frame.string("/weir/nowhere"), 0))
          .isEqualTo(-Errno.ENOENT);
      assertThat(calls.call(Function.RECV, -1, 0, 0, 0)).isEqualTo(-Errno.EBADF);
    }
  }

  @Test
  void allSixArgumentsOfASystemCallArrive() {
    long page = calls.call(Function.GETPAGESIZE);
    assertThat(page).isGreaterThanOrEqualTo(4096);
    long address =
        calls.call(Function.MMAP, 0, page, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0);
    assertThat(address).isPositive();
    ByteBuffer view = calls.view(address, (int) page);
    view.putLong(0, 42);
    assertThat(calls.address(view)).isEqualTo(address);
    assertThat(calls.call(Function.MUNMAP, address, page)).isZero();
    assertThat(calls.call(Function.MMAP, 0, page, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 1))
        .as("an offset inside a page")
        .isEqualTo(-Errno.EINVAL);
  }

  @Test
  void theAddressOfABufferIsThatOfItsFirstByteWhereverItStands() {
    ByteBuffer buffer = ByteBuffer.allocateDirect(64);
    long address = calls.address(buffer);
    buffer.position(10);
    assertThat(calls.address(buffer)).isEqualTo(address);
    buffer.put(10, (byte) 7);
    assertThat(calls.view(address, 64).get(10)).isEqualTo((byte) 7);
    assertThat(calls.address(buffer.slice())).isEqualTo(address + 10);
  }

  @Test
  void framesNestAndEachGivesBackWhatItTook() {
    try (Memory.Frame outer = memory.frame()) {
      long first = outer.string("outer");
      long inside;
      try (Memory.Frame inner = memory.frame()) {
        inside = inner.string("inner");
        assertThat(Memory.string(calls, first)).isEqualTo("outer");
        assertThat(Memory.string(calls, inside)).isEqualTo("inner");
      }
      Memory.Block next = outer.zeroed(16);
      assertThat(next.address()).isEqualTo(inside);
      assertThat(next.copy(0, 16)).containsOnly(0);
      assertThat(Memory.string(calls, first)).isEqualTo("outer");
    }
  }

  @Test
  void whatTheStackCannotHoldIsZeroedAndUsableAllTheSame() {
    for (int round = 0; round < 100; round++) {
      try (Memory.Frame frame = memory.frame()) {
        byte[] large = "x".repeat(100_000).getBytes(StandardCharsets.UTF_8);
        Memory.Block zeroed = frame.zeroed(1 << 20);
        assertThat(zeroed.bytes().getLong((1 << 20) - 8)).isZero();
        long copy = frame.copy(large);
        assertThat(Memory.string(calls, copy, 1000)).hasSize(1000);
        assertThat(calls.view(copy, large.length).get(large.length - 1)).isEqualTo((byte) 'x');
        zeroed.bytes().putLong((1 << 20) - 8, -1);
      }
    }
  }

  @Test
  void errnoAndMemoryBelongToTheThread() throws Exception {
    try (var threads = Executors.newFixedThreadPool(4)) {
      List<Future<Boolean>> done = new ArrayList<>();
      for (int i = 0; i < 4; i++) {
        int number = i;
        done.add(
            threads.submit(() -> {
              for (int round = 0; round < 5000; round++) {
                try (Memory.Frame frame = memory.frame()) {
                  long text = frame.string("thread " + number);
                  long expected = number % 2 == 0 ? -Errno.EBADF : -Errno.ENOENT;
                  long result =
                      number % 2 == 0
                          ? calls.call(Function.CLOSE, -1)
                          : calls.call(Function.OPEN, frame.string("/weir/nowhere"), 0);
                  if (result != expected
                      || !Memory.string(calls, text).equals("thread " + number)) {
                    return false;
                  }
                }
              }
              return true;
            }));
      }
      for (Future<Boolean> each : done) {
        assertThat(each.get(60, TimeUnit.SECONDS)).isTrue();
      }
    }
  }
}

package dev.weir.agent.capture;

import dev.weir.ffi.Bpf.BpfMap;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** One syscall. */
record KernelJoinedSockets(BpfMap joinable) implements JoinedSockets {
  @Override
  public boolean contains(long cookie) {
    byte[] key =
        ByteBuffer.allocate(Long.BYTES).order(ByteOrder.nativeOrder()).putLong(cookie).array();
    return joinable.lookup(key) != null;
  }
}

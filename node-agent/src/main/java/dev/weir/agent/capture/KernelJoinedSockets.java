package dev.weir.agent.capture;

import dev.weir.ffi.Bpf.BpfMap;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Set;

/**
 * @param asked cookies of namespaces whose pods ask, or have asked
 */
record KernelJoinedSockets(BpfMap joinable, Set<Long> asked) implements JoinedSockets {
  /** One syscall. */
  @Override
  public boolean contains(long cookie) {
    byte[] key =
        ByteBuffer.allocate(Long.BYTES).order(ByteOrder.nativeOrder()).putLong(cookie).array();
    return joinable.lookup(key) != null;
  }

  @Override
  public boolean mayBeIn(Pod pod) {
    return asked.contains(pod.cookie());
  }
}

package dev.weir.agent.capture;

import java.util.Collection;
import org.jspecify.annotations.Nullable;

/** Service addresses in the kernel. */
public interface ServiceTable {
  /**
   * The whole truth from now on; only differences are written, on the capture thread. Any thread.
   */
  void replace(Collection<ServiceAddress> services);

  /**
   * The Service port that a number in an {@link Original} or {@link KernelFlow} stands for; null
   * for 0 or one long gone. Any thread.
   */
  @Nullable ServiceAddress serviceAddress(int number);
}

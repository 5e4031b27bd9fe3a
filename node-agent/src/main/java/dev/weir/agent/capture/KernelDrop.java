package dev.weir.agent.capture;

import org.jspecify.annotations.Nullable;

/**
 * A refusal counter of the kernel; pod is null where none could be told. Counts only grow while the
 * maps live.
 */
public record KernelDrop(@Nullable Pod pod, Reason reason, long count) {}

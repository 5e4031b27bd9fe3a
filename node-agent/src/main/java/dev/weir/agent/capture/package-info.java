/**
 * The kernel's side of the agent: loads, pins, adopts and feeds the BPF programs and maps, enrols
 * pods, caches verdicts, resolves Service addresses in the kernel, and tells what flows stayed
 * there. Everything that writes a map runs on the one capture thread that {@link
 * dev.weir.agent.capture.Capture} owns; event loops may call {@link
 * dev.weir.agent.capture.Originals#take} (about 3 µs) and {@link dev.weir.agent.capture.Verdicts}
 * (a bounded queue) and nothing else. No other room touches a map. {@link
 * dev.weir.agent.capture.InPodRouting} is for namespaces that capture does not know of, too.
 */
@NullMarked
package dev.weir.agent.capture;

import org.jspecify.annotations.NullMarked;

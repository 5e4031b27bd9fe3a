/**
 * The kernel's half of Weir as Java sees it: the compiled programs, their names, and the layouts of
 * what is shared with them.
 *
 * <p>Immutable and free of state, so any thread may enter. Loading, attaching and pinning are the
 * agent's.
 */
@NullMarked
package dev.weir.bpf;

import org.jspecify.annotations.NullMarked;

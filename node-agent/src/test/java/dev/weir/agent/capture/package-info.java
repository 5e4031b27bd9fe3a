/** Tests of capture: on the running kernel, in real network namespaces, with the real programs. */
@NullMarked
package dev.weir.agent.capture;

import org.jspecify.annotations.NullMarked;

@NullMarked
package dev.weir.agent.tunnel;

import org.jspecify.annotations.NullMarked;

@NullMarked
package dev.weir.agent.relay;

import org.jspecify.annotations.NullMarked;

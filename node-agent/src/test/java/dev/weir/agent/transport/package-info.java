@NullMarked
package dev.weir.agent.transport;

import org.jspecify.annotations.NullMarked;

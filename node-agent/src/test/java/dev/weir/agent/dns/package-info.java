@NullMarked
package dev.weir.agent.dns;

import org.jspecify.annotations.NullMarked;

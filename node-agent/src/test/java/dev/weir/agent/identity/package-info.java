@NullMarked
package dev.weir.agent.identity;

import org.jspecify.annotations.NullMarked;

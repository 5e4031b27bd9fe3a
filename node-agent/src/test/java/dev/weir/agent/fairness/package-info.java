@NullMarked
package dev.weir.agent.fairness;

import org.jspecify.annotations.NullMarked;

@NullMarked
package dev.weir.agent.balance;

import org.jspecify.annotations.NullMarked;

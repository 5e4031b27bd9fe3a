@NullMarked
package dev.weir.agent;

import org.jspecify.annotations.NullMarked;

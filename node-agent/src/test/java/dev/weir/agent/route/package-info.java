@NullMarked
package dev.weir.agent.route;

import org.jspecify.annotations.NullMarked;

@NullMarked
package dev.weir.agent.authz;

import org.jspecify.annotations.NullMarked;

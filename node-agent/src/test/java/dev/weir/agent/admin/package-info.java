@NullMarked
package dev.weir.agent.admin;

import org.jspecify.annotations.NullMarked;

@NullMarked
package dev.weir.agent.telemetry;

import org.jspecify.annotations.NullMarked;

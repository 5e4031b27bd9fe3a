/**
 * One line to stderr: {@code time LEVEL room: message key=value}. {@link dev.weir.agent.log.Logs}
 * is made once, in Main, and hands a {@link dev.weir.agent.log.Log} to each room. Any thread; not
 * for the data path, where reasons are counters.
 */
@NullMarked
package dev.weir.agent.log;

import org.jspecify.annotations.NullMarked;

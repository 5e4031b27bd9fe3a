/** One line to stderr: {@code time LEVEL room: message key=value}. Any thread may write. */
@NullMarked
package dev.weir.control.log;

import org.jspecify.annotations.NullMarked;

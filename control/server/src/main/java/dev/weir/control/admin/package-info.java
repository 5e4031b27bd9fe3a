/**
 * The admin door: HTTP on a Unix socket, served by an event loop that reads only immutable values
 * of the other rooms.
 */
@NullMarked
package dev.weir.control.admin;

import org.jspecify.annotations.NullMarked;

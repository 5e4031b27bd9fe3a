/**
 * The control plane's process: {@link dev.weir.control.Main} reads the command line and makes the
 * rooms, which hand immutable values down one way: source → mesh → xds. Each room says which thread
 * runs it.
 */
@NullMarked
package dev.weir.control;

import org.jspecify.annotations.NullMarked;

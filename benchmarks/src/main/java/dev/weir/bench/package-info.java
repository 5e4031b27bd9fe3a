/**
 * What Weir costs, measured: JMH for single pieces, and {@code weir bench}, which runs the same
 * pods with and without Weir in one interleaved run. Nothing here asserts a speed; it prints
 * medians with their spread. Runs as a program of its own, and drives the mesh through the {@code
 * weir} command, as a user would.
 */
@NullMarked
package dev.weir.bench;

import org.jspecify.annotations.NullMarked;

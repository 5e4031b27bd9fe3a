/**
 * The process: its flags, the order in which the rooms start and stop, and the stages on which an
 * agent tries itself out: all of it before it is put to use ({@code Rehearsal}), or what carries
 * connections before it takes over from another ({@code Practice}). What is made here is given to
 * the rooms by their constructors; no room reaches back.
 */
@NullMarked
package dev.weir.agent;

import org.jspecify.annotations.NullMarked;

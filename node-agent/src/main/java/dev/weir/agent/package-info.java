/**
 * The process: its flags, the order in which the rooms start and stop, and nothing else. What is
 * made here is given to the rooms by their constructors; no room reaches back.
 */
@NullMarked
package dev.weir.agent;

import org.jspecify.annotations.NullMarked;

/**
 * The {@code weir} command. A command is a small class that asks a door (the lab's client, a node's
 * admin socket, the kernel) and prints what it says; it decides nothing. Everything runs on the
 * main thread. {@link dev.weir.cli.Main} is the only way in; each command is made when it is asked
 * for, since making all of them costs more than running one. {@code weir lab …} is a group of its
 * own, {@link dev.weir.cli.LabCommands}; its commands, one door all of them, are {@code Lab…}.
 */
@NullMarked
package dev.weir.cli;

import org.jspecify.annotations.NullMarked;

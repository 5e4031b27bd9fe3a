/**
 * Which endpoint of a Service a connection goes to. Pure choice over an immutable list: no I/O, no
 * state shared between connections; called on event loops by {@code route}.
 */
@NullMarked
package dev.weir.agent.balance;

import org.jspecify.annotations.NullMarked;

/**
 * JSON as a small tree: what the admin doors answer, what the lab's socket speaks, what the command
 * line reads. Immutable values, any thread, strict by RFC 8259, depth bounded. No binding to
 * classes: a reader asks for the fields that it needs.
 */
@NullMarked
package dev.weir.api.json;

import org.jspecify.annotations.NullMarked;

/** The contract that both bindings keep, on the real kernel: every test runs once by each. */
@NullMarked
package dev.weir.ffi;

import org.jspecify.annotations.NullMarked;

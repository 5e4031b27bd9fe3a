/** What tests of several modules need of the machine that they run on. */
@NullMarked
package dev.weir.testing;

import org.jspecify.annotations.NullMarked;

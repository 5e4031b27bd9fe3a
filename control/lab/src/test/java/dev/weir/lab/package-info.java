/** Tests of the lab: pure parts as they are, the rest on one real lab without a mesh. */
@NullMarked
package dev.weir.lab;

import org.jspecify.annotations.NullMarked;

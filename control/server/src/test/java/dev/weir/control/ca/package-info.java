@NullMarked
package dev.weir.control.ca;

import org.jspecify.annotations.NullMarked;

@NullMarked
package dev.weir.api.dns;

import org.jspecify.annotations.NullMarked;

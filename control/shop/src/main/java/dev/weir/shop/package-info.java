/**
 * The demo's shop: one program, a role a pod, HTTP/1.1 over blocking sockets and nothing but the
 * JDK, so that a dozen of them start on a laptop within a second and cost little. It knows nothing
 * of Weir: what it shows must hold for any program. One virtual thread a connection; {@link
 * dev.weir.shop.Main} is the only way in.
 */
@NullMarked
package dev.weir.shop;

import org.jspecify.annotations.NullMarked;

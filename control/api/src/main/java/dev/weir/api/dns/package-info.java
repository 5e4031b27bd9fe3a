/**
 * DNS on the wire (RFC 1035, 2782, 6891, 7766) and the names that Kubernetes gives to Services and
 * their pods. Pure functions over byte arrays: no sockets, no threads, no clock; anyone may call
 * from any thread. What comes in is hostile until parsed, so every length is checked, compression
 * loops end, and nothing is allocated by a length that the message merely claims.
 */
@NullMarked
package dev.weir.api.dns;

import org.jspecify.annotations.NullMarked;

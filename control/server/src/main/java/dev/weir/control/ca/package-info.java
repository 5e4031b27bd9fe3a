/**
 * The certificate authority: Istio's certificate service on a TLS port. A caller is known by its
 * projected service account token, may have its own identity and, where it is a trusted node agent,
 * those of pods on its node. Requests are signed on one thread ({@code ca}) behind a bounded queue;
 * files are looked at by another ({@code ca-files}). What was good stays in force when a file turns
 * bad.
 */
@NullMarked
package dev.weir.control.ca;

import org.jspecify.annotations.NullMarked;

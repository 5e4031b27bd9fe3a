/**
 * The certificate authority, and who may call the control plane at all. A caller is known by its
 * projected service account token, may have its own identity and, where it is a trusted node agent,
 * those of pods on its node; {@link dev.weir.control.ca.Admission} stands before every service of
 * the TLS port. Tokens are checked on one thread ({@code admission}) and requests are signed on
 * another ({@code ca}), each behind a bounded queue; files are looked at by a third ({@code
 * ca-files}). What was good stays in force when a file turns bad.
 */
@NullMarked
package dev.weir.control.ca;

import org.jspecify.annotations.NullMarked;

/**
 * Who this node's pods are, provably: certificates from the CA, TLS contexts made of them, and the
 * judgement of peers; and who the control plane is: {@link dev.weir.agent.identity.ControlLine} is
 * the one way to call it, for the room of the mesh's configuration as well. Everything that
 * changes, changes on one thread ({@code identity}), which does not exist before the first enrolled
 * pod; event loops read what is in force from a map. The verifier of peers runs on the loop whose
 * handshake it is. {@link dev.weir.agent.identity.Identities} is the door.
 *
 * <p>A private key is made on the heap, because only the JDK's generator can be asked for one, and
 * given to BoringSSL at once; then nothing here refers to it. What cannot be zeroed are the JDK's
 * own copies, garbage until the collector reuses their memory.
 */
@NullMarked
package dev.weir.agent.identity;

import org.jspecify.annotations.NullMarked;

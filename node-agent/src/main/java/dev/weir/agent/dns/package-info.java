/**
 * DNS of enrolled pods. Each pod has listeners for UDP and TCP on port 15053 of its own loopback;
 * what is the mesh's is answered from the present view, the rest goes to the upstream server from a
 * socket in the pod's own namespace, so that it is the pod that asks. Everything of one pod runs on
 * one event loop: no lock, bounded tables, and nothing waits.
 */
@NullMarked
package dev.weir.agent.dns;

import org.jspecify.annotations.NullMarked;

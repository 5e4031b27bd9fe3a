/**
 * ZDS: the node's enroller (istio-cni or the lab) hands pods' network namespaces over a Unix
 * SEQPACKET socket. One platform thread of its own speaks the protocol in lock-step; capture does
 * what it asks.
 */
@NullMarked
package dev.weir.agent.enrolment;

import org.jspecify.annotations.NullMarked;

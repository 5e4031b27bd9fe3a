/** Tests of enrolment over real SEQPACKET sockets. */
@NullMarked
package dev.weir.agent.enrolment;

import org.jspecify.annotations.NullMarked;

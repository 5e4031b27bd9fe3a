/**
 * The lab: Kubernetes YAML on one Linux machine. {@link dev.weir.lab.LabClient} is the door for the
 * CLI and for tests; behind it a daemon ({@link dev.weir.lab.Main}), one a lab, owns what the lab
 * is made of: namespaces, processes, probes, endpoints, cluster DNS and the enrolment of pods with
 * their node's agent. In the daemon one thread, the desk, owns all state; what waits (processes,
 * probes, clients) runs on threads of its own and hands its news to the desk. Sockets of other
 * network namespaces are made on one platform thread, for a namespace belongs to a thread.
 */
@NullMarked
package dev.weir.lab;

import org.jspecify.annotations.NullMarked;

/**
 * Who may call: {@code istio.security.Authorization}, compiled. {@link
 * dev.weir.agent.authz.Policies} is immutable and travels inside the mesh view, so that workloads
 * and policies change in the same moment; {@link dev.weir.agent.authz.Authz} asks it and counts
 * what it denied. Any thread; nothing blocks, and an allowed call allocates nothing.
 */
@NullMarked
package dev.weir.agent.authz;

import org.jspecify.annotations.NullMarked;

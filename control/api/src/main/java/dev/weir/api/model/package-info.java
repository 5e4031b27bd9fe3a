/**
 * The mesh as control plane and nodes both see it: workloads, services, and which workload answers
 * for which service port. All of it is immutable and may be read by any thread; a change is a new
 * record. {@link dev.weir.api.model.Addresses} turns records into {@code istio.workload.Address}
 * and back, so a node reads the same model from Weir's control plane and from an istiod.
 */
@NullMarked
package dev.weir.api.model;

import org.jspecify.annotations.NullMarked;

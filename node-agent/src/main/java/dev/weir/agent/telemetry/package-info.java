/**
 * What happened: counters under Istio's names, the last hour of edges, refusals by reason, access
 * lines. A connection is given its counters once, when it opens; from then on bytes cost a few
 * atomic additions and no allocation, on any event loop. Label sets are bounded by declared
 * numbers, and what does not fit is counted as overflow. Rendering runs on the admin thread.
 */
@NullMarked
package dev.weir.agent.telemetry;

import org.jspecify.annotations.NullMarked;

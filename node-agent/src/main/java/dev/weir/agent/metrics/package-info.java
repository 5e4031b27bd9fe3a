/**
 * The text that Prometheus reads, and who adds to it. Every room may have numbers of its own and
 * writes them here; nothing here knows what they mean. Called on the thread that answers a scrape.
 */
@NullMarked
package dev.weir.agent.metrics;

import org.jspecify.annotations.NullMarked;

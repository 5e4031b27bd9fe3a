/**
 * The agent's own HTTP: admin on 15000 (loopback) and on a Unix socket, metrics on 15020, readiness
 * on 15021. One thread and one selector serve them all, apart from the data path, so that a scrape
 * of a megabyte delays no byte of a pod; requests, connections and waits are bounded, since anyone
 * on the network may knock at two of the ports.
 */
@NullMarked
package dev.weir.agent.admin;

import org.jspecify.annotations.NullMarked;

/**
 * What this kernel and machine can do, found by trying: programs of two instructions are loaded and
 * attached in a throwaway cgroup and network namespace, never on anything that runs. {@link
 * dev.weir.cli.check.Preflight} is the door. Probes run one after another on the calling platform
 * thread (namespaces belong to threads), and each takes back what it made. Codes are for ever:
 * scripts match on them.
 */
@NullMarked
package dev.weir.cli.check;

import org.jspecify.annotations.NullMarked;

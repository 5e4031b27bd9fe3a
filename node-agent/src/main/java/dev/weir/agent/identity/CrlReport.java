package dev.weir.agent.identity;

import java.nio.file.Path;

/**
 * How the CRL stands, for people.
 *
 * @param names certificates that it names
 * @param problem why the file, or a list in it, does not count; empty where all of it does
 */
public record CrlReport(Path file, int names, String problem) {}

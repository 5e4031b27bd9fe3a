package dev.weir.agent.telemetry;

/**
 * How often a pod was refused something; {@code pod} is {@code namespace/name}, empty where none
 * could be told.
 */
public record RefusalReport(String pod, String reason, long count) {}

package dev.weir.api.model;

/**
 * One port of a service, or what one workload makes of it.
 *
 * @param name empty where the Service has a single port without a name
 * @param port the number that clients dial
 * @param targetPort the number behind it; 0 on a service means that each workload has its own
 */
public record ServicePort(String name, int port, int targetPort, AppProtocol protocol) {}

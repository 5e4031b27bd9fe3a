package dev.weir.api.kube;

import java.util.List;
import java.util.Map;

/** How a kubelet asks a container whether it is well. */
public record Probe(
    Handler handler,
    int initialDelaySeconds,
    int periodSeconds,
    int timeoutSeconds,
    int successThreshold,
    int failureThreshold) {

  /** What is asked. */
  public sealed interface Handler {}

  /** Any status from 200 to 399 is well. {@code host} is empty for the pod's own address. */
  public record HttpGet(
      String scheme, String host, PortReference port, String path, Map<String, String> headers)
      implements Handler {
    public HttpGet {
      headers = Map.copyOf(headers);
    }
  }

  /** A connection that opens is well. */
  public record TcpSocket(String host, PortReference port) implements Handler {}

  /** Exit status 0 is well. */
  public record Exec(List<String> command) implements Handler {
    public Exec {
      command = List.copyOf(command);
    }
  }

  /** {@code grpc.health.v1} answering SERVING is well. */
  public record Grpc(int port, String service) implements Handler {}
}

package dev.weir.lab;

import dev.weir.api.kube.PortReference;
import dev.weir.api.kube.Probe;
import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManager;
import javax.net.ssl.X509TrustManager;

/**
 * Asks a container whether it is well, from the node's network namespace as a kubelet does. Runs on
 * any thread that may block; each question has a timeout. An empty answer means well, another says
 * what is wrong.
 */
final class Prober {
  /** A kubelet reads no more of an answer either. */
  private static final int MAX_LINE = 8 << 10;

  /** For processes of our own, which answer at once or not at all. */
  private static final Duration OWN = Duration.ofSeconds(2);

  private final Crossing crossing;

  Prober(Crossing crossing) {
    this.crossing = crossing;
  }

  /**
   * @param port the number behind the probe's port
   */
  Optional<String> ask(Probe probe, String nodeNetns, InetAddress pod, int port, PodEntry entry) {
    Duration timeout = Duration.ofSeconds(Math.max(1, probe.timeoutSeconds()));
    try {
      return switch (probe.handler()) {
        case Probe.HttpGet http -> http(http, nodeNetns, host(http.host(), pod), port, timeout);
        case Probe.TcpSocket tcp -> tcp(nodeNetns, host(tcp.host(), pod), port, timeout);
        case Probe.Grpc grpc -> grpc(grpc, nodeNetns, pod, timeout);
        case Probe.Exec exec -> exec(exec, entry, timeout);
      };
    } catch (IOException | LabException e) {
      return Optional.of(String.valueOf(e.getMessage()));
    }
  }

  private static InetAddress host(String host, InetAddress pod) {
    return host.isEmpty() ? pod : Addressing.of(host);
  }

  private Socket connect(String netns, InetAddress host, int port, Duration timeout)
      throws IOException {
    Socket socket =
        crossing.in(
            netns,
            () -> {
              Socket fresh = new Socket();
              // Until some option is set, java.net.Socket has not called socket(2).
              fresh.setTcpNoDelay(true);
              return fresh;
            });
    try {
      socket.setSoTimeout((int) timeout.toMillis());
      socket.connect(new InetSocketAddress(host, port), (int) timeout.toMillis());
      return socket;
    } catch (IOException e) {
      socket.close();
      throw new IOException(
          "connect to " + host.getHostAddress() + " port " + port + ": " + e.getMessage(), e);
    }
  }

  private Optional<String> tcp(String netns, InetAddress host, int port, Duration timeout)
      throws IOException {
    connect(netns, host, port, timeout).close();
    return Optional.empty();
  }

  private Optional<String> http(
      Probe.HttpGet probe, String netns, InetAddress host, int port, Duration timeout)
      throws IOException {
    try (Socket plain = connect(netns, host, port, timeout);
        Socket socket =
            probe.scheme().equalsIgnoreCase("HTTPS") ? trusting(plain, host, port) : plain) {
      String literal = host.getHostAddress();
      String authority = (literal.contains(":") ? "[" + literal + "]" : literal) + ":" + port;
      StringBuilder request = new StringBuilder("GET ");
      request
          .append(probe.path().startsWith("/") ? probe.path() : "/" + probe.path())
          .append(" HTTP/1.1\r\n");
      if (probe.headers().keySet().stream().noneMatch("host"::equalsIgnoreCase)) {
        request.append("Host: ").append(authority).append("\r\n");
      }
      for (Map.Entry<String, String> header : probe.headers().entrySet()) {
        request.append(header.getKey()).append(": ").append(header.getValue()).append("\r\n");
      }
      request.append("User-Agent: kube-probe/weir-lab\r\nAccept: */*\r\nConnection: close\r\n\r\n");
      OutputStream out = socket.getOutputStream();
      out.write(request.toString().getBytes(StandardCharsets.UTF_8));
      out.flush();
      String status = line(socket.getInputStream());
      String[] words = status.split(" ", 3);
      if (words.length < 2 || !words[0].startsWith("HTTP/1.") || !words[1].matches("[0-9]{3}")) {
        return Optional.of("no HTTP answer on port " + port + ": '" + status + "'");
      }
      int code = Integer.parseInt(words[1]);
      return code >= 200 && code < 400
          ? Optional.empty()
          : Optional.of("status of " + probe.path() + ": " + code + " (expected: 200 to 399)");
    }
  }

  private static String line(InputStream in) throws IOException {
    ByteArrayOutputStream line = new ByteArrayOutputStream();
    for (int b = in.read(); b >= 0 && b != '\n' && line.size() < MAX_LINE; b = in.read()) {
      if (b != '\r') {
        line.write(b);
      }
    }
    return line.toString(StandardCharsets.ISO_8859_1);
  }

  /**
   * A kubelet does not verify a probe's certificate: it asks whether the server lives, not who it
   * is.
   */
  private static Socket trusting(Socket plain, InetAddress host, int port) throws IOException {
    try {
      SSLContext context = SSLContext.getInstance("TLS");
      context.init(null, new TrustManager[] {new Anyone()}, null);
      return context.getSocketFactory().createSocket(plain, host.getHostAddress(), port, true);
    } catch (GeneralSecurityException e) {
      throw new IOException("TLS: " + e.getMessage(), e);
    }
  }

  private static final class Anyone implements X509TrustManager {
    @Override
    public void checkClientTrusted(X509Certificate[] chain, String type) {}

    @Override
    public void checkServerTrusted(X509Certificate[] chain, String type) {}

    @Override
    public X509Certificate[] getAcceptedIssuers() {
      return new X509Certificate[0];
    }
  }

  private Optional<String> exec(Probe.Exec probe, PodEntry entry, Duration timeout) {
    Command.Result result = Command.attempt(entry.command(probe.command()), "", timeout);
    return result.status() == 0
        ? Optional.empty()
        : Optional.of(
            String.join(" ", probe.command())
                + ": status "
                + result.status()
                + ": "
                + result.complaint());
  }

  private Optional<String> grpc(Probe.Grpc probe, String netns, InetAddress host, Duration timeout)
      throws IOException {
    try (Socket socket = connect(netns, host, probe.port(), timeout)) {
      return GrpcHealth.check(
          new BufferedInputStream(socket.getInputStream()),
          socket.getOutputStream(),
          host.getHostAddress() + ":" + probe.port(),
          probe.service());
    }
  }

  /** Whether something listens there. */
  boolean connects(String netns, InetAddress host, int port) {
    try {
      connect(netns, host, port, OWN).close();
      return true;
    } catch (IOException | LabException e) {
      // Not yet.
      return false;
    }
  }

  /** Whether a server on the namespace's loopback answers a GET well. */
  boolean answers(String netns, int port, String path) {
    try {
      Probe.HttpGet get = new Probe.HttpGet("HTTP", "", PortReference.of(port), path, Map.of());
      return http(get, netns, InetAddress.getLoopbackAddress(), port, OWN).isEmpty();
    } catch (IOException | LabException e) {
      // Not yet.
      return false;
    }
  }
}

package dev.weir.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * How long the start of the first node's agent took, by the kernel's note of when its process began
 * (to 10 ms) and the agent's own of when it was ready. Nobody asks it meanwhile: that would cost
 * what is measured.
 *
 * @param readyMillis from the process's first instruction, the launcher's included
 * @param certificatesMillis how much of it the agent did nothing but wait for certificates
 */
record AgentStart(double readyMillis, double certificatesMillis) {
  private static final Pattern READY =
      Pattern.compile("(?m)^(\\S+) INFO agent: ready .* certificates-ms=(\\d+)$");

  static AgentStart read(Weir weir, ProxyProcess agent) throws IOException {
    String log = weir.run("lab", "logs", "--name", weir.lab(), "agent/node-1");
    Matcher ready = READY.matcher(log);
    if (!ready.find()) {
      throw new IOException("the agent's log does not say that it is ready");
    }
    String at;
    String certificates;
    do {
      at = ready.group(1);
      certificates = ready.group(2);
    } while (ready.find());
    long sinceReady = System.currentTimeMillis() - Instant.parse(at).toEpochMilli();
    String uptime = Files.readString(Path.of("/proc/uptime"));
    double sinceBoot = Double.parseDouble(uptime.substring(0, uptime.indexOf(' '))) * 1000;
    return new AgentStart(
        sinceBoot - agent.startedMillis() - sinceReady, Double.parseDouble(certificates));
  }
}

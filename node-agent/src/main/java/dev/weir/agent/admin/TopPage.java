package dev.weir.agent.admin;

import dev.weir.agent.fairness.Fairness;
import dev.weir.agent.fairness.PodUsage;
import dev.weir.api.json.Json;
import java.util.ArrayList;
import java.util.List;

/**
 * {@code /top}: the accounts of pods, as counts since each was enrolled, with the moment; who wants
 * rates asks twice.
 */
final class TopPage {
  private TopPage() {}

  static Json json(Fairness fairness) {
    List<Json> pods = new ArrayList<>();
    for (PodUsage pod : fairness.usage()) {
      List<Json> waits = new ArrayList<>();
      for (long each : pod.waits()) {
        waits.add(Json.of((double) each));
      }
      pods.add(
          Json.object()
              .with("namespace", pod.namespace())
              .with("pod", pod.name())
              .with("weight", pod.weight())
              .with("cpuNanos", pod.cpuNanos())
              .with("bytesReceived", pod.received())
              .with("bytesSent", pod.sent())
              .with("connections", pod.connections())
              .with("opened", pod.opened())
              .with("streams", pod.streams())
              .with("handshakes", pod.handshakes())
              .with("buffered", pod.buffered())
              .with("shed", pod.shed())
              .with("waitedMicros", pod.waitedMicros())
              .with("waits", Json.of(waits))
              .build());
    }
    return Json.object()
        .with("nanos", System.nanoTime())
        .with("buffered", fairness.bufferedBytes())
        .with("bufferLimit", fairness.limits().bufferBytes())
        .with("pods", Json.of(pods))
        .build();
  }
}

package dev.weir.control.ca;

import java.time.Instant;

/**
 * Who a token says is calling.
 *
 * @param node the node that the token is bound to; empty where it names none
 * @param pod the pod that the token is bound to; empty where it names none
 * @param until when the token stops to say so
 */
public record Caller(
    String namespace, String serviceAccount, String node, String pod, Instant until) {
  String account() {
    return namespace + "/" + serviceAccount;
  }

  /** For people. */
  public String label() {
    return account() + (node.isEmpty() ? "" : " on " + node);
  }

  Caller on(String where) {
    return new Caller(namespace, serviceAccount, where, pod, until);
  }
}

package dev.weir.control.ca;

/**
 * Who a token says is calling.
 *
 * @param node the node that the token is bound to; empty where it names none
 * @param pod the pod that the token is bound to; empty where it names none
 */
record Caller(String namespace, String serviceAccount, String node, String pod) {
  String account() {
    return namespace + "/" + serviceAccount;
  }
}

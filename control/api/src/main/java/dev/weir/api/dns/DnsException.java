package dev.weir.api.dns;

/** A message that is not DNS as the RFCs write it; says what was found where. */
public final class DnsException extends Exception {
  public DnsException(String message) {
    // Thrown once per hostile packet: a stack trace would be the attacker's amplification.
    super(message, null, false, false);
  }
}

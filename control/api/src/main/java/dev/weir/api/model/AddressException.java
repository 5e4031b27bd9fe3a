package dev.weir.api.model;

/**
 * An {@code istio.workload.Address} or {@code istio.security.Authorization} that says something
 * impossible; the message names the resource and the field.
 */
public final class AddressException extends RuntimeException {
  public AddressException(String message) {
    super(message);
  }
}

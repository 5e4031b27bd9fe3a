package dev.weir.api.kube;

/**
 * An annotation of Weir's whose value means nothing; the message says which and what is expected.
 */
public final class AnnotationException extends RuntimeException {
  public AnnotationException(String message) {
    super(message);
  }
}

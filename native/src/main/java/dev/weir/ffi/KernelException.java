package dev.weir.ffi;

/** A call that the kernel or libbpf refused: which call, on what, errno with its name. */
public final class KernelException extends RuntimeException {
  private static final long serialVersionUID = 1;

  private final String call;
  private final int errno;

  public KernelException(String call, int errno, String detail) {
    super(
        "%s: %s (%s)%s"
            .formatted(
                call, Errno.name(errno), Errno.text(errno), detail.isEmpty() ? "" : ": " + detail));
    this.call = call;
    this.errno = errno;
  }

  public String call() {
    return call;
  }

  public int errno() {
    return errno;
  }
}

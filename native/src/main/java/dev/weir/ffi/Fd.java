package dev.weir.ffi;

/** An open file descriptor with one owner; closing twice is harmless. */
public interface Fd extends AutoCloseable {
  int number();

  boolean isOpen();

  @Override
  void close();
}

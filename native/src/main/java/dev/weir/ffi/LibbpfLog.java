package dev.weir.ffi;

import org.jspecify.annotations.Nullable;

/**
 * What libbpf has to say goes to the exception of the call that it belongs to, never to stderr.
 * libbpf keeps one print function a process; messages find their caller by the thread, since libbpf
 * prints on the thread that called it.
 */
final class LibbpfLog implements Calls.Printer {
  private static final int LIBBPF_WARN = 0;
  private static final int LINE_BYTES = 8192;

  private static final ThreadLocal<@Nullable StringBuilder> LISTENING = new ThreadLocal<>();

  private final Calls calls;
  private final Memory memory;

  private boolean installed;

  LibbpfLog(Calls calls, Memory memory) {
    this.calls = calls;
    this.memory = memory;
  }

  /** Takes libbpf's voice from stderr; no call to libbpf that may print comes before it. */
  synchronized void silence() {
    if (!installed) {
      calls.call(Function.BPF_SET_PRINT, calls.callback(this));
      installed = true;
    }
  }

  /** Collects this thread's warnings until {@link #heard}. */
  void listen() {
    silence();
    LISTENING.set(new StringBuilder());
  }

  String heard() {
    StringBuilder heard = LISTENING.get();
    LISTENING.remove();
    return heard == null ? "" : heard.toString().strip();
  }

  /** Called from C: nothing may be thrown from here, an exception in an upcall ends the process. */
  @Override
  public int print(int level, long format, long arguments) {
    StringBuilder heard = LISTENING.get();
    if (heard == null || level != LIBBPF_WARN) {
      return 0;
    }
    try (Memory.Frame frame = memory.frame()) {
      Memory.Block line = frame.zeroed(LINE_BYTES);
      calls.call(Function.VSNPRINTF, line.address(), LINE_BYTES, format, arguments);
      heard.append(Memory.string(calls, line.address()));
    } catch (RuntimeException e) {
      heard.append("a message of libbpf was lost: ").append(e.getMessage()).append('\n');
    }
    return 0;
  }
}

package dev.weir.lab;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;

/** Commands that wait for something to become true. */
final class Waiters {
  private record Waiter(BooleanSupplier done, CompletableFuture<Boolean> future) {}

  private final Desk desk;

  /** Desk only. */
  private final List<Waiter> waiting = new ArrayList<>();

  Waiters(Desk desk) {
    this.desk = desk;
  }

  /** Waits on the caller's thread; the condition and the reason are asked for on the desk. */
  void await(BooleanSupplier done, Duration atMost, Supplier<String> reason) {
    CompletableFuture<Boolean> future = new CompletableFuture<>();
    Waiter waiter = new Waiter(done, future);
    desk.post(() -> {
      waiting.add(waiter);
      answer();
    });
    try {
      future.get(atMost.toMillis(), TimeUnit.MILLISECONDS);
    } catch (TimeoutException e) {
      desk.post(() -> waiting.remove(waiter));
      throw new LabException("not after " + atMost.toSeconds() + " s: " + desk.ask(reason), e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new LabException("interrupted", e);
    } catch (ExecutionException e) {
      throw new LabException("internal error: " + e.getCause(), e);
    }
  }

  /** On the desk, whenever something has changed. */
  void answer() {
    for (Waiter waiter : List.copyOf(waiting)) {
      if (waiter.done().getAsBoolean()) {
        waiting.remove(waiter);
        waiter.future().complete(true);
      }
    }
  }
}

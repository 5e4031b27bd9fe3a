package dev.weir.agent.tunnel;

import java.util.concurrent.Executor;

/** Of a session that has its loop to itself: no turns, no budgets. */
interface AnyOwner extends TunnelSession.Owner {
  @Override
  default void freed(TunnelSession session) {}

  @Override
  default void inTurn(Executor loop, Runnable work) {
    loop.execute(work);
  }

  @Override
  default boolean isTurnOver() {
    return false;
  }

  @Override
  default long waitingBelow() {
    return 0;
  }

  @Override
  default void streamBegan() {}

  @Override
  default void streamEnded() {}
}

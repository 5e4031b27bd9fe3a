package dev.weir.agent.identity;

/** What came of asking for an identity. */
public sealed interface Obtained {
  record Have(Credentials credentials) implements Obtained {}

  /**
   * @param reason for people: what was tried and what went wrong
   */
  record Failed(String reason) implements Obtained {}
}

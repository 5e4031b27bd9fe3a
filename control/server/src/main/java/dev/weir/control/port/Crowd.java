package dev.weir.control.port;

import java.time.Duration;

/**
 * How many may come in.
 *
 * @param connections in all
 * @param ofOneAddress of one source address: an agent has one, and two while it is upgraded
 * @param strangers of whom nobody has shown yet who it is
 * @param patience until which a stranger has to show it, its TLS handshake included
 */
public record Crowd(int connections, int ofOneAddress, int strangers, Duration patience) {
  /**
   * Three times the nodes of a large cluster; what one address may hold leaves room for many behind
   * one gateway. Agents are strangers for the time of a handshake, so few of them are at once.
   */
  public static final Crowd STANDARD = new Crowd(16_384, 1_024, 256, Duration.ofSeconds(10));
}

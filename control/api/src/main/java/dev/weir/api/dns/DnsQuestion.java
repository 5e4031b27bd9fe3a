package dev.weir.api.dns;

/** What is asked; the name in lower case without trailing dot. */
public record DnsQuestion(String name, int type, int dnsClass) {}

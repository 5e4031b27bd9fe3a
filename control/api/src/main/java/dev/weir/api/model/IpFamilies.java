package dev.weir.api.model;

/** The address families that a service answers on. */
public enum IpFamilies {
  AUTOMATIC,
  IPV4,
  IPV6,
  DUAL
}

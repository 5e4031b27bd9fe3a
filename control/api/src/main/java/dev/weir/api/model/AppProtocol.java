package dev.weir.api.model;

/** What a service port says that it speaks. */
public enum AppProtocol {
  UNKNOWN,
  HTTP1,
  HTTP2,
  GRPC,
  TCP,
  TLS
}

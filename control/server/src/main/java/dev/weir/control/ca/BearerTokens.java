package dev.weir.control.ca;

import io.grpc.Context;
import io.grpc.Contexts;
import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;

/** Brings the authorization header to the services; it is judged off the event loop. */
final class BearerTokens implements ServerInterceptor {
  static final Context.Key<String> AUTHORIZATION = Context.keyWithDefault("authorization", "");

  private static final Metadata.Key<String> HEADER =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  @Override
  public <Q, A> ServerCall.Listener<Q> interceptCall(
      ServerCall<Q, A> call, Metadata headers, ServerCallHandler<Q, A> next) {
    String value = headers.get(HEADER);
    return Contexts.interceptCall(
        Context.current().withValue(AUTHORIZATION, value == null ? "" : value),
        call,
        headers,
        next);
  }
}

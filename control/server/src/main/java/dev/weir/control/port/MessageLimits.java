package dev.weir.control.port;

import io.grpc.Context;
import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.ServerStreamTracer;
import io.grpc.Status;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What a request may weigh. gRPC has one bound for all services of a port, and the services differ
 * by a factor of 500; so a call is watched while its message comes in, and ended before it is
 * whole.
 *
 * @param headerBytes of one call; a token is up to 16 KiB
 * @param messageBytes by service; of any other nothing is taken
 */
public record MessageLimits(int headerBytes, Map<String, Integer> messageBytes) {
  private static final Context.Key<Scale> SCALE = Context.key("scale");

  public MessageLimits {
    messageBytes = Map.copyOf(messageBytes);
  }

  int mostMessageBytes() {
    return messageBytes.values().stream().mapToInt(each -> each).max().orElse(0);
  }

  ServerStreamTracer.Factory scales() {
    return new ServerStreamTracer.Factory() {
      @Override
      public ServerStreamTracer newServerStreamTracer(String method, Metadata headers) {
        String service = method.substring(0, Math.max(0, method.indexOf('/')));
        return new Scale(messageBytes.getOrDefault(service, 0));
      }
    };
  }

  static ServerInterceptor weighing() {
    return new ServerInterceptor() {
      @Override
      public <Q, A> ServerCall.Listener<Q> interceptCall(
          ServerCall<Q, A> call, Metadata headers, ServerCallHandler<Q, A> next) {
        Scale scale = SCALE.get();
        if (scale != null) {
          scale.call = call;
        }
        return next.startCall(call, headers);
      }
    };
  }

  /** Weighs one call's messages as they come; on its event loop. */
  private static final class Scale extends ServerStreamTracer {
    private final int mostBytes;
    private volatile @Nullable ServerCall<?, ?> call;
    private long bytes;

    Scale(int mostBytes) {
      this.mostBytes = mostBytes;
    }

    @Override
    public Context filterContext(Context context) {
      return context.withValue(SCALE, this);
    }

    @Override
    public void inboundMessage(int number) {
      bytes = 0;
    }

    @Override
    public void inboundWireSize(long more) {
      ServerCall<?, ?> known = call;
      long before = bytes;
      bytes += more;
      if (before <= mostBytes && bytes > mostBytes && known != null) {
        known.close(
            Status.RESOURCE_EXHAUSTED.withDescription(
                "the message is too large (expected: at most " + mostBytes + " bytes)"),
            new Metadata());
      }
    }
  }
}

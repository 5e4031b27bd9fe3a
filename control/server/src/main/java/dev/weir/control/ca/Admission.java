package dev.weir.control.ca;

import dev.weir.control.log.Log;
import dev.weir.control.port.Connections;
import dev.weir.control.port.Worker;
import io.grpc.Context;
import io.grpc.Contexts;
import io.grpc.Grpc;
import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.RejectedExecutionException;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Who may call what on the TLS port: one judgement for all services. A call is begun only once its
 * token was checked, on a thread of its own ({@code admission}); until then nothing is read of what
 * the caller sends, so HTTP/2's window holds it.
 */
public final class Admission implements AutoCloseable {
  private static final Context.Key<Caller> CALLER = Context.key("caller");
  private static final Metadata.Key<String> HEADER =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  /** About a second of checking signatures. */
  private static final int MOST_WAITING = 1_000;

  /**
   * An agent asks for nine things at once. Whoever sends forged tokens from one address delays the
   * others by so many signatures, and not by all that fit.
   */
  private static final int MOST_WAITING_OF_ADDRESS = 32;

  private final Tokens tokens;
  private final Supplier<NodePods> pods;
  private final Set<String> nodeAccounts;
  private final Connections connections;
  private final Log log;
  private final Map<String, Integer> waitingOfAddress = new ConcurrentHashMap<>();
  private final Worker thread = new Worker("admission", MOST_WAITING);

  /** What a caller must be, beyond what its token proves. */
  private interface Rule {
    Caller judged(Caller caller) throws Refusal;
  }

  Admission(
      Tokens tokens,
      Supplier<NodePods> pods,
      Set<String> nodeAccounts,
      Connections connections,
      Log log) {
    this.tokens = tokens;
    this.pods = pods;
    this.nodeAccounts = nodeAccounts;
    this.connections = connections;
    this.log = log;
  }

  /** Whose call this thread is on; null on a port that asks nobody. */
  public static @Nullable Caller caller() {
    return CALLER.get();
  }

  /** For a service that only nodes' agents may call. */
  public ServerInterceptor ofAgents(Refusals refusals) {
    return new Gate(this::agent, refusals);
  }

  /** For a service that judges by itself what a caller may have. */
  ServerInterceptor ofAll(Refusals refusals) {
    return new Gate(caller -> caller, refusals);
  }

  private Caller agent(Caller caller) throws Refusal {
    if (!nodeAccounts.contains(caller.account())) {
      throw new Refusal(
          Refusal.Cause.NOT_A_NODE_ACCOUNT,
          caller.account()
              + " is no node's agent (trusted: "
              + String.join(", ", nodeAccounts)
              + ")");
    }
    return caller.on(pods.get().node(caller));
  }

  private static String host(@Nullable SocketAddress from) {
    return from instanceof InetSocketAddress inet ? inet.getAddress().getHostAddress() : "";
  }

  private boolean mayWait(String host) {
    if (waitingOfAddress.merge(host, 1, Integer::sum) <= MOST_WAITING_OF_ADDRESS) {
      return true;
    }
    waitsNoMore(host);
    return false;
  }

  private void waitsNoMore(String host) {
    waitingOfAddress.computeIfPresent(host, (_, count) -> count == 1 ? null : count - 1);
  }

  @Override
  public void close() {
    thread.close();
  }

  /** Stands before one service. */
  private final class Gate implements ServerInterceptor {
    private final Rule rule;
    private final Refusals refusals;

    Gate(Rule rule, Refusals refusals) {
      this.rule = rule;
      this.refusals = refusals;
    }

    @Override
    public <Q, A> ServerCall.Listener<Q> interceptCall(
        ServerCall<Q, A> call, Metadata headers, ServerCallHandler<Q, A> next) {
      @Nullable String authorization = headers.get(HEADER);
      @Nullable SocketAddress from = call.getAttributes().get(Grpc.TRANSPORT_ATTR_REMOTE_ADDR);
      Context context = Context.current();
      Waiting<Q> waiting = new Waiting<>();
      String host = host(from);
      if (!mayWait(host)) {
        refuse(call, overloaded(), "", from);
        return waiting;
      }
      try {
        thread.execute(() -> {
          waitsNoMore(host);
          judge(
              call,
              authorization == null ? "" : authorization,
              from,
              caller ->
                  waiting.begin(() ->
                      Contexts.interceptCall(
                          context.withValue(CALLER, caller), call, headers, next)));
        });
      } catch (RejectedExecutionException e) {
        waitsNoMore(host);
        refuse(call, overloaded(), "", from);
      }
      return waiting;
    }

    private void judge(
        ServerCall<?, ?> call,
        String authorization,
        @Nullable SocketAddress from,
        Consumer<Caller> welcome) {
      String name = "";
      try {
        Caller caller = tokens.caller(authorization);
        name = caller.label();
        Caller judged = rule.judged(caller);
        connections.admitted(from);
        welcome.accept(judged);
      } catch (Refusal refusal) {
        refuse(call, refusal, name, from);
      } catch (RuntimeException e) {
        log.error("a call could not be judged", "caller", name, "reason", e);
        refuse(
            call,
            new Refusal(Refusal.Cause.INTERNAL, "the call failed; see the control plane's log"),
            name,
            from);
      }
    }

    private static Refusal overloaded() {
      return new Refusal(Refusal.Cause.OVERLOADED, "too many callers wait already; try again");
    }

    private void refuse(
        ServerCall<?, ?> call, Refusal refusal, String caller, @Nullable SocketAddress from) {
      refusals.refused(refusal, caller, "", from);
      call.close(refusal.status(), new Metadata());
      connections.refused(from);
    }
  }

  /**
   * A call before it is admitted. What happens to it meanwhile is told once it has begun; messages
   * do not come before that, as nobody asks for any.
   */
  private static final class Waiting<Q> extends ServerCall.Listener<Q> {
    private ServerCall.@Nullable Listener<Q> begun;
    private boolean halfClosed;
    private boolean ready;
    private boolean over;

    synchronized void begin(Supplier<ServerCall.Listener<Q>> next) {
      if (over) {
        return;
      }
      ServerCall.Listener<Q> listener = next.get();
      begun = listener;
      if (ready) {
        listener.onReady();
      }
      if (halfClosed) {
        listener.onHalfClose();
      }
    }

    @Override
    public synchronized void onMessage(Q message) {
      if (begun != null) {
        begun.onMessage(message);
      }
    }

    @Override
    public synchronized void onHalfClose() {
      halfClosed = true;
      if (begun != null) {
        begun.onHalfClose();
      }
    }

    @Override
    public synchronized void onCancel() {
      over = true;
      if (begun != null) {
        begun.onCancel();
      }
    }

    @Override
    public synchronized void onComplete() {
      over = true;
      if (begun != null) {
        begun.onComplete();
      }
    }

    @Override
    public synchronized void onReady() {
      ready = true;
      if (begun != null) {
        begun.onReady();
      }
    }
  }
}

package dev.weir.cli;

import dev.weir.api.json.Json;
import dev.weir.lab.LabClient;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.time.format.DateTimeParseException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

@Command(
    name = "certs",
    mixinStandardHelpOptions = true,
    description = {
      "Show the identities of each node's pods: certificates, when they expire and are renewed, what is wrong.",
      "A certificate is revoked by its serial number, in a CRL that agents read (--crl); see docs/ARCHITECTURE.md.",
      "Ends with 1 where an identity has no certificate that is valid, or an agent does not answer."
    },
    footer = {
      "",
      "Examples:",
      "  weir certs",
      "  weir certs node-1 -o wide",
      "  weir certs -o json | jq -r '.nodes[].certificates[] | .identity + \" \" + .serial'"
    })
final class CertsCommand implements Callable<Integer> {
  private static final String VALID = "Available";
  private static final String REVOKED = "revoked";

  @Mixin LabOption lab = new LabOption();
  @Mixin FormatOption format = new FormatOption();

  @Parameters(arity = "0..1", paramLabel = "NODE", description = "Only this node's.")
  @Nullable String node;

  private final Output output;
  private final InstantSource clock = InstantSource.system();

  CertsCommand(Output output) {
    this.output = output;
  }

  @Override
  public Integer call() {
    LabClient client = lab.lab();
    List<Json> nodes = new ArrayList<>();
    boolean well = true;
    for (String name : Nodes.asked(client, node)) {
      Json.Builder one = Json.object().with("node", name);
      try {
        Json certificates = Nodes.admin(client, name).get("/certs");
        one.with("certificates", certificates);
        well &=
            certificates.items().stream().allMatch(each -> each.get("state").text().equals(VALID));
      } catch (CommandFailure e) {
        one.with("certificates", Json.of(List.<Json>of()))
            .with("error", String.valueOf(e.getMessage()));
        well = false;
      }
      nodes.add(one.build());
    }
    format.print(
        output,
        Json.object().with("lab", client.name()).with("nodes", Json.of(nodes)).build(),
        wide -> text(nodes, wide));
    return well ? 0 : 1;
  }

  private String text(List<Json> nodes, boolean wide) {
    Table table =
        wide
            ? new Table(
                "NODE",
                "IDENTITY",
                "STATE",
                "SERIAL",
                "VALID FROM",
                "EXPIRES",
                "RENEWED IN",
                "PODS",
                "ROOTS")
            : new Table("NODE", "IDENTITY", "STATE", "SERIAL", "EXPIRES IN", "RENEWED IN");
    StringBuilder problems = new StringBuilder();
    Instant now = clock.instant();
    for (Json node : nodes) {
      String name = node.get("node").text();
      if (!node.get("error").isNull()) {
        problems.append(name).append(": ").append(node.get("error").text()).append('\n');
      }
      for (Json each : node.get("certificates").items()) {
        String identity = each.get("identity").text();
        String state = each.get("state").text();
        String coloured = state.equals(VALID) ? output.green(state) : output.red(state);
        String serial = each.get("serial").text();
        String expires = each.get("expirationTime").text();
        String renewed = until(now, each.get("nextRotation").text());
        if (wide) {
          table.row(
              name,
              identity,
              coloured,
              serial,
              each.get("validFrom").text(),
              expires,
              renewed,
              each.get("pods").text(),
              String.join(",", each.get("roots").items().stream().map(Json::text).toList()));
        } else {
          table.row(
              name,
              identity.replaceFirst("^spiffe://", ""),
              coloured,
              serial,
              until(now, expires),
              renewed);
        }
        if (!each.get("lastError").text().isEmpty()) {
          problems.append(name).append(": ").append(trouble(identity, each)).append('\n');
        }
      }
    }
    return (table.isEmpty() ? "no enrolled pods\n" : table.text())
        + (problems.isEmpty() ? "" : "\n" + output.red("problems") + "\n" + problems);
  }

  /** A failure to get a certificate, what holds meanwhile, and what to do. */
  static String trouble(String identity, Json about) {
    String error = about.get("lastError").isNull() ? "error" : "lastError";
    String cause = about.get("cause").text();
    String expires = about.get("expirationTime").text();
    String meanwhile =
        expires.isEmpty()
            ? "; it has no certificate"
            : cause.equals(REVOKED)
                ? "; its pods neither call nor are called through tunnels until it is renewed, "
                    + about.get("nextRotation").text()
                : "; its certificate holds until " + expires;
    return identity + ": " + cause + ": " + about.get(error).text() + meanwhile + hint(cause);
  }

  private static String hint(String cause) {
    String hint =
        switch (cause) {
          case "ca-unreachable", "ca-slow", "ca-failed" ->
              "does the control plane run? `weir lab status`, `weir lab logs control`";
          case "ca-not-trusted" ->
              "the agent's --ca-root must be there and hold the root of the control plane's certificate";
          case "token-unreadable", "token-refused" ->
              "the agent's token must be a current one of audience istio-ca; `weir lab logs control` says more";
          case "not-allowed" ->
              "does the control plane know the pod on this node? `weir lab logs control` says more";
          case REVOKED -> "a restart of the agent gets another one at once";
          case "clock" -> "compare the clocks of node and control plane";
          case "bad-answer", "wrong-identity", "unusable" ->
              "is that Weir's CA at all? `weir lab logs control`";
          default -> "";
        };
    return hint.isEmpty() ? "" : " (" + hint + ")";
  }

  private static String until(Instant now, String then) {
    try {
      Duration left = Duration.between(now, Instant.parse(then));
      if (left.isNegative()) {
        return "over";
      }
      return left.toHours() >= 2
          ? left.toHours() + "h" + left.toMinutesPart() + "m"
          : left.toMinutes() >= 2
              ? left.toMinutes() + "m" + left.toSecondsPart() + "s"
              : left.toSeconds() + "s";
    } catch (DateTimeParseException e) {
      // "now", or nothing yet.
      return then;
    }
  }
}

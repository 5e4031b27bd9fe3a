package dev.weir.api.model;

import com.google.protobuf.ByteString;
import com.google.protobuf.Empty;
import dev.weir.api.model.Authorization.Account;
import dev.weir.api.model.Authorization.Clause;
import dev.weir.api.model.Authorization.Match;
import dev.weir.api.model.Authorization.Rule;
import dev.weir.api.model.Authorization.Text;
import dev.weir.api.proto.security.Action;
import dev.weir.api.proto.security.Address;
import dev.weir.api.proto.security.Scope;
import dev.weir.api.proto.security.ServiceAccountMatch;
import dev.weir.api.proto.security.StringMatch;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.List;
import java.util.function.Function;

/** {@link Authorization} records to {@code istio.security.Authorization} and back. */
public final class Authorizations {
  public static final String TYPE_URL = "type.googleapis.com/istio.security.Authorization";

  private static final int MAX_PORT = 65535;

  private Authorizations() {}

  /** The xDS resource name: {@code namespace/name}. */
  public static String name(dev.weir.api.proto.security.Authorization in) {
    return in.getNamespace() + "/" + in.getName();
  }

  public static dev.weir.api.proto.security.Authorization of(Authorization authorization) {
    var out =
        dev.weir.api.proto.security.Authorization.newBuilder()
            .setNamespace(authorization.namespace())
            .setName(authorization.name())
            .setScope(
                switch (authorization.scope()) {
                  case MESH -> Scope.GLOBAL;
                  case NAMESPACE -> Scope.NAMESPACE;
                  case NAMED -> Scope.WORKLOAD_SELECTOR;
                })
            .setAction(
                authorization.action() == Authorization.Action.DENY ? Action.DENY : Action.ALLOW)
            .setDryRun(authorization.dryRun());
    for (Rule rule : authorization.rules()) {
      var ruleOut = dev.weir.api.proto.security.Rule.newBuilder();
      for (Clause clause : rule.clauses()) {
        var clauseOut = dev.weir.api.proto.security.Clause.newBuilder();
        clause.matches().forEach(match -> clauseOut.addMatches(match(match)));
        ruleOut.addClauses(clauseOut);
      }
      out.addRules(ruleOut);
    }
    return out.build();
  }

  private static dev.weir.api.proto.security.Match match(Match match) {
    return dev.weir.api.proto.security.Match.newBuilder()
        .addAllNamespaces(all(match.namespaces(), Authorizations::text))
        .addAllNotNamespaces(all(match.notNamespaces(), Authorizations::text))
        .addAllPrincipals(all(match.principals(), Authorizations::text))
        .addAllNotPrincipals(all(match.notPrincipals(), Authorizations::text))
        .addAllSourceIps(all(match.sourceIps(), Authorizations::block))
        .addAllNotSourceIps(all(match.notSourceIps(), Authorizations::block))
        .addAllDestinationIps(all(match.destinationIps(), Authorizations::block))
        .addAllNotDestinationIps(all(match.notDestinationIps(), Authorizations::block))
        .addAllDestinationPorts(match.destinationPorts())
        .addAllNotDestinationPorts(match.notDestinationPorts())
        .addAllServiceAccounts(all(match.serviceAccounts(), Authorizations::account))
        .addAllNotServiceAccounts(all(match.notServiceAccounts(), Authorizations::account))
        .build();
  }

  private static StringMatch text(Text text) {
    StringMatch.Builder out = StringMatch.newBuilder();
    return switch (text) {
      case Text.Exact exact -> out.setExact(exact.value()).build();
      case Text.Prefix prefix -> out.setPrefix(prefix.value()).build();
      case Text.Suffix suffix -> out.setSuffix(suffix.value()).build();
      case Text.Present _ -> out.setPresence(Empty.getDefaultInstance()).build();
    };
  }

  private static Address block(Cidr block) {
    return Address.newBuilder()
        .setAddress(ByteString.copyFrom(block.address().getAddress()))
        .setLength(block.prefixBits())
        .build();
  }

  private static ServiceAccountMatch account(Account account) {
    return ServiceAccountMatch.newBuilder()
        .setNamespace(account.namespace())
        .setServiceAccount(account.name())
        .build();
  }

  /**
   * Reads a resource.
   *
   * @throws AddressException if it says something impossible, or something that this version does
   *     not know and that would change what it means
   */
  public static Authorization authorization(dev.weir.api.proto.security.Authorization in) {
    if (in.getName().isEmpty()) {
      throw new AddressException(
          "authorization of namespace '" + in.getNamespace() + "' has no name");
    }
    String what = "authorization " + name(in);
    if (in.getExtensionsCount() > 0) {
      throw unknown(what, "extension " + in.getExtensions(0).getName());
    }
    return new Authorization(
        in.getNamespace(),
        in.getName(),
        switch (in.getScope()) {
          case GLOBAL -> Authorization.Scope.MESH;
          case NAMESPACE -> Authorization.Scope.NAMESPACE;
          case WORKLOAD_SELECTOR -> Authorization.Scope.NAMED;
          case UNRECOGNIZED -> throw unknown(what, "scope " + in.getScopeValue());
        },
        switch (in.getAction()) {
          case ALLOW -> Authorization.Action.ALLOW;
          case DENY -> Authorization.Action.DENY;
          case UNRECOGNIZED -> throw unknown(what, "action " + in.getActionValue());
        },
        in.getDryRun(),
        all(
            in.getRulesList(),
            rule ->
                new Rule(
                    all(
                        rule.getClausesList(),
                        clause ->
                            new Clause(
                                all(clause.getMatchesList(), match -> match(what, match)))))));
  }

  private static Match match(String what, dev.weir.api.proto.security.Match in) {
    if (in.getExtensionsCount() > 0) {
      // A condition that is passed over would widen an allow and narrow a deny.
      throw unknown(what, "extension " + in.getExtensions(0).getName());
    }
    return new Match(
        all(in.getNamespacesList(), text -> text(what, text)),
        all(in.getNotNamespacesList(), text -> text(what, text)),
        all(in.getPrincipalsList(), text -> text(what, text)),
        all(in.getNotPrincipalsList(), text -> text(what, text)),
        all(in.getSourceIpsList(), block -> block(what, block)),
        all(in.getNotSourceIpsList(), block -> block(what, block)),
        all(in.getDestinationIpsList(), block -> block(what, block)),
        all(in.getNotDestinationIpsList(), block -> block(what, block)),
        all(in.getDestinationPortsList(), port -> port(what, port)),
        all(in.getNotDestinationPortsList(), port -> port(what, port)),
        all(in.getServiceAccountsList(), Authorizations::account),
        all(in.getNotServiceAccountsList(), Authorizations::account));
  }

  private static Text text(String what, StringMatch in) {
    return switch (in.getMatchTypeCase()) {
      case EXACT -> new Text.Exact(in.getExact());
      case PREFIX -> new Text.Prefix(in.getPrefix());
      case SUFFIX -> new Text.Suffix(in.getSuffix());
      case PRESENCE -> new Text.Present();
      case MATCHTYPE_NOT_SET -> throw unknown(what, "comparison of texts");
    };
  }

  private static Cidr block(String what, Address in) {
    try {
      return new Cidr(InetAddress.getByAddress(in.getAddress().toByteArray()), in.getLength());
    } catch (UnknownHostException e) {
      throw new AddressException(
          what + " has an address of " + in.getAddress().size() + " bytes (expected: 4 or 16)");
    } catch (IllegalArgumentException e) {
      throw new AddressException(what + " has an address block with " + e.getMessage());
    }
  }

  private static int port(String what, int port) {
    if (port < 0 || port > MAX_PORT) {
      throw new AddressException(
          what + " has the port " + Integer.toUnsignedString(port) + " (expected: 0-65535)");
    }
    return port;
  }

  private static Account account(ServiceAccountMatch in) {
    return new Account(in.getNamespace(), in.getServiceAccount());
  }

  private static AddressException unknown(String what, String which) {
    return new AddressException(
        what + " has a " + which + " that this version does not know, so it cannot be enforced");
  }

  private static <A, B> List<B> all(List<A> in, Function<A, B> each) {
    return in.stream().map(each).toList();
  }
}

package dev.weir.api.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import dev.weir.api.model.Authorization.Account;
import dev.weir.api.model.Authorization.Clause;
import dev.weir.api.model.Authorization.Match;
import dev.weir.api.model.Authorization.Rule;
import dev.weir.api.model.Authorization.Text;
import dev.weir.api.proto.security.Address;
import java.util.List;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;

final class AuthorizationsPropertyTest {
  @Provide
  Arbitrary<Authorization> authorizations() {
    return Combinators.combine(
            words(),
            words(),
            Arbitraries.of(Authorization.Scope.values()),
            Arbitraries.of(Authorization.Action.values()),
            Arbitraries.of(true, false),
            matches()
                .list()
                .ofMaxSize(2)
                .map(Clause::new)
                .list()
                .ofMaxSize(2)
                .map(Rule::new)
                .list()
                .ofMaxSize(2))
        .as(Authorization::new);
  }

  private static Arbitrary<Match> matches() {
    return Combinators.combine(
            texts(),
            texts(),
            texts(),
            texts(),
            blocks(),
            blocks(),
            Arbitraries.integers().between(0, 65535).list().ofMaxSize(2),
            Combinators.combine(words(), words()).as(Account::new).list().ofMaxSize(2))
        .as((a, b, c, d, e, f, ports, accounts) ->
            new Match(a, b, c, d, e, f, f, e, ports, ports.reversed(), accounts, accounts));
  }

  private static Arbitrary<String> words() {
    return Arbitraries.strings().withCharRange('a', 'z').ofMinLength(1).ofMaxLength(8);
  }

  private static Arbitrary<List<Text>> texts() {
    Arbitrary<Text> text =
        Combinators.combine(words(), Arbitraries.integers().between(0, 3))
            .as((word, kind) ->
                switch (kind) {
                  case 0 -> new Text.Exact(word);
                  case 1 -> new Text.Prefix(word);
                  case 2 -> new Text.Suffix(word);
                  default -> new Text.Present();
                });
    return text.list().ofMaxSize(2);
  }

  private static Arbitrary<List<Cidr>> blocks() {
    return Arbitraries.of(
            "10.0.0.0/8", "0.0.0.0/0", "10.1.2.3/32", "fd00::/8", "::/0", "fd00::1/128")
        .map(Cidr::parse)
        .list()
        .ofMaxSize(2);
  }

  @Property(tries = 300)
  void an_authorization_comes_back_as_it_went(@ForAll("authorizations") Authorization authorization)
      throws InvalidProtocolBufferException {
    var sent =
        dev.weir.api.proto.security.Authorization.parseFrom(
            Authorizations.of(authorization).toByteString());
    assertThat(Authorizations.authorization(sent)).isEqualTo(authorization);
    assertThat(Authorizations.name(sent)).isEqualTo(authorization.key());
  }

  @Property(tries = 300)
  void bytes_from_anyone_are_read_or_refused_with_a_reason(@ForAll byte[] bytes) {
    dev.weir.api.proto.security.Authorization in;
    try {
      in = dev.weir.api.proto.security.Authorization.parseFrom(bytes);
    } catch (InvalidProtocolBufferException e) {
      return;
    }
    try {
      Authorizations.authorization(in);
    } catch (AddressException e) {
      assertThat(e).hasMessageContaining("authorization");
    }
  }

  @Example
  void what_cannot_be_is_refused_by_name() {
    refused(match ->
            match.addSourceIps(Address.newBuilder().setAddress(ByteString.copyFrom(new byte[5]))))
        .hasMessageContaining("authorization shop/p has an address of 5 bytes");
    refused(match ->
            match.addSourceIps(
                Address.newBuilder().setAddress(ByteString.copyFrom(new byte[4])).setLength(33)))
        .hasMessageContaining("prefix /33");
    refused(match -> match.addDestinationPorts(70_000)).hasMessageContaining("port 70000");
    refused(match ->
            match.addPrincipals(dev.weir.api.proto.security.StringMatch.getDefaultInstance()))
        .hasMessageContaining("cannot be enforced");
    refused(match ->
            match.addExtensions(
                dev.weir.api.proto.security.Extension.newBuilder().setName("layer7")))
        .hasMessageContaining("extension layer7");
  }

  private static org.assertj.core.api.AbstractThrowableAssert<?, ? extends Throwable> refused(
      java.util.function.Consumer<dev.weir.api.proto.security.Match.Builder> change) {
    var match = dev.weir.api.proto.security.Match.newBuilder();
    change.accept(match);
    var in =
        dev.weir.api.proto.security.Authorization.newBuilder()
            .setNamespace("shop")
            .setName("p")
            .addRules(
                dev.weir.api.proto.security.Rule.newBuilder()
                    .addClauses(dev.weir.api.proto.security.Clause.newBuilder().addMatches(match)))
            .build();
    return assertThatThrownBy(() -> Authorizations.authorization(in))
        .isInstanceOf(AddressException.class);
  }

  @Example
  void a_name_keeps_what_its_user_wrote_before_its_tail() {
    assertThat(named("orders").policy()).isEqualTo("shop/orders");
    assertThat(named("orders_mtls").policy()).isEqualTo("shop/orders");
    assertThat(named("orders_namespace").policy()).isEqualTo("shop/orders");
  }

  private static Authorization named(String name) {
    return new Authorization(
        "shop", name, Authorization.Scope.NAMED, Authorization.Action.DENY, false, List.of());
  }
}

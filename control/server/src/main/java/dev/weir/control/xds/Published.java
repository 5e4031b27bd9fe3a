package dev.weir.control.xds;

import com.google.protobuf.Any;
import com.google.protobuf.ByteString;
import dev.weir.api.model.Addresses;
import dev.weir.api.model.Authorization;
import dev.weir.api.model.Authorizations;
import dev.weir.api.model.Service;
import dev.weir.api.model.Workload;
import dev.weir.api.proto.discovery.Resource;
import dev.weir.api.proto.workload.Address;
import java.net.InetAddress;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;

/**
 * One resource, encoded once for all nodes. Its version is a digest of its bytes, so a control
 * plane that was restarted, or another replica, gives the same resource the same version.
 */
final class Published {
  /**
   * A quarter of a SHA-256: no two versions of one resource will meet, and 100,000 of them stay
   * small.
   */
  private static final int VERSION_BYTES = 8;

  private final Object source;
  private final Resource resource;

  private Published(Object source, Resource resource) {
    this.source = source;
    this.resource = resource;
  }

  static Published of(Workload workload) {
    return new Published(workload, resource(Addresses.of(workload)));
  }

  static Published of(Service service) {
    return new Published(service, resource(Addresses.of(service)));
  }

  static Published of(Authorization authorization) {
    ByteString bytes = Authorizations.of(authorization).toByteString();
    return new Published(
        authorization, resource(authorization.key(), Authorizations.TYPE_URL, bytes));
  }

  private static Resource resource(Address address) {
    return resource(Addresses.name(address), Addresses.TYPE_URL, address.toByteString());
  }

  private static Resource resource(String name, String type, ByteString bytes) {
    return Resource.newBuilder()
        .setName(name)
        .setVersion(version(bytes))
        .setResource(Any.newBuilder().setTypeUrl(type).setValue(bytes))
        .build();
  }

  private static String version(ByteString bytes) {
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      bytes.asReadOnlyByteBufferList().forEach(digest::update);
      return HexFormat.of().formatHex(digest.digest(), 0, VERSION_BYTES);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java has SHA-256", e);
    }
  }

  /** The Workload, Service or Authorization that it was made of. */
  Object source() {
    return source;
  }

  String name() {
    return resource.getName();
  }

  String version() {
    return resource.getVersion();
  }

  int bytes() {
    return resource.getSerializedSize();
  }

  Resource resource() {
    return resource;
  }

  /** For a client that asks by address: the names under which it may have asked. */
  Resource resourceWithAliases() {
    return resource.toBuilder().addAllAliases(aliases()).build();
  }

  List<String> aliases() {
    List<String> aliases = new ArrayList<>(2);
    switch (source) {
      case Workload workload -> {
        // A node's own address is shared by all its host-network pods and names none of them.
        if (!workload.hostNetwork()) {
          for (InetAddress address : workload.addresses()) {
            aliases.add(Addresses.alias(workload.network(), address));
          }
        }
      }
      case Service service -> {
        for (InetAddress address : service.addresses()) {
          aliases.add(Addresses.alias(service.network(), address));
        }
      }
      // Authorizations are asked for by their own name only.
      default -> {}
    }
    return aliases;
  }
}

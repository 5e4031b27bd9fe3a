package dev.weir.api.model;

import com.google.protobuf.Any;
import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.UInt32Value;
import dev.weir.api.proto.weir.ServiceSettings;
import dev.weir.api.proto.workload.Address;
import dev.weir.api.proto.workload.Extension;
import dev.weir.api.proto.workload.IPFamilies;
import dev.weir.api.proto.workload.LoadBalancing;
import dev.weir.api.proto.workload.NamespacedHostname;
import dev.weir.api.proto.workload.NetworkAddress;
import dev.weir.api.proto.workload.NetworkMode;
import dev.weir.api.proto.workload.Port;
import dev.weir.api.proto.workload.PortList;
import dev.weir.api.proto.workload.TunnelProtocol;
import dev.weir.api.proto.workload.WorkloadStatus;
import dev.weir.api.proto.workload.WorkloadType;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * Records to {@code istio.workload.Address} and back. Values that Istio elides (default trust
 * domain, service account, cluster, capacity) are elided here too and filled in again on reading.
 * What Istio has no field for travels in extensions; where they are absent, as from an istiod, the
 * defaults hold.
 */
public final class Addresses {
  public static final String TYPE_URL = "type.googleapis.com/istio.workload.Address";

  /**
   * The {@code system_version_info} of all but the last response of a change that takes several. A
   * node that has heard only such has half a truth; any other value, as every other control plane
   * sends, ends a change.
   */
  public static final String PARTIAL = "partial";

  static final String POD_EXTENSION = "weir.dev/pod";
  static final String SERVICE_EXTENSION = "weir.dev/service";

  private Addresses() {}

  /**
   * The xDS resource name of an address: a workload's uid or a service's {@code
   * namespace/hostname}.
   */
  public static String name(Address address) {
    return switch (address.getTypeCase()) {
      case WORKLOAD -> address.getWorkload().getUid();
      case SERVICE ->
          Service.key(address.getService().getNamespace(), address.getService().getHostname());
      case TYPE_NOT_SET -> throw new AddressException("address holds neither workload nor service");
    };
  }

  /** The other names that find a resource: {@code network/IP}. */
  public static String alias(String network, InetAddress address) {
    return network + "/" + address.getHostAddress();
  }

  public static Address of(Workload workload) {
    var out =
        dev.weir.api.proto.workload.Workload.newBuilder()
            .setUid(workload.uid())
            .setName(workload.name())
            .setNamespace(workload.namespace())
            .setNetwork(workload.network())
            .setNode(workload.node())
            .setHostname(workload.hostname())
            .setTrustDomain(elide(workload.trustDomain(), Workload.DEFAULT_TRUST_DOMAIN))
            .setServiceAccount(elide(workload.serviceAccount(), Workload.DEFAULT_SERVICE_ACCOUNT))
            .setClusterId(elide(workload.cluster(), Workload.DEFAULT_CLUSTER))
            .setWorkloadType(
                switch (workload.kind()) {
                  case DEPLOYMENT -> WorkloadType.DEPLOYMENT;
                  case CRONJOB -> WorkloadType.CRONJOB;
                  case POD -> WorkloadType.POD;
                  case JOB -> WorkloadType.JOB;
                })
            .setWorkloadName(workload.ownerName())
            .setCanonicalName(workload.canonicalName())
            .setCanonicalRevision(workload.canonicalRevision())
            .setTunnelProtocol(
                workload.tunnel() == Tunnel.HBONE ? TunnelProtocol.HBONE : TunnelProtocol.NONE)
            .setStatus(workload.healthy() ? WorkloadStatus.HEALTHY : WorkloadStatus.UNHEALTHY)
            .setNetworkMode(
                workload.hostNetwork() ? NetworkMode.HOST_NETWORK : NetworkMode.STANDARD);
    for (InetAddress address : workload.addresses()) {
      out.addAddresses(ByteString.copyFrom(address.getAddress()));
    }
    if (!workload.locality().equals(Locality.UNKNOWN)) {
      out.setLocality(
          dev.weir.api.proto.workload.Locality.newBuilder()
              .setRegion(workload.locality().region())
              .setZone(workload.locality().zone())
              .setSubzone(workload.locality().subzone()));
    }
    if (workload.capacity() != 1) {
      out.setCapacity(UInt32Value.of(workload.capacity()));
    }
    out.addAllAuthorizationPolicies(workload.authorizationPolicies());
    if (workload.networkGateway() != null) {
      out.setNetworkGateway(gateway(workload.networkGateway()));
    }
    // Sorted, so that equal workloads have equal bytes and so equal versions after a restart.
    new TreeMap<>(workload.services())
        .forEach((key, ports) -> {
          PortList.Builder list = PortList.newBuilder();
          ports.forEach(port -> list.addPorts(port(port)));
          out.putServices(key, list.build());
        });
    ApplicationTunnel applicationTunnel = workload.settings().applicationTunnel();
    if (applicationTunnel != null) {
      out.setApplicationTunnel(
          dev.weir.api.proto.workload.ApplicationTunnel.newBuilder()
              .setProtocol(dev.weir.api.proto.workload.ApplicationTunnel.Protocol.PROXY)
              .setPort(applicationTunnel.port()));
    }
    if (!workload.settings().withApplicationTunnel(null).equals(PodSettings.DEFAULT)) {
      out.addExtensions(
          Extension.newBuilder()
              .setName(POD_EXTENSION)
              .setConfig(Any.pack(settings(workload.settings()))));
    }
    return Address.newBuilder().setWorkload(out).build();
  }

  public static Address of(Service service) {
    var out =
        dev.weir.api.proto.workload.Service.newBuilder()
            .setName(service.name())
            .setNamespace(service.namespace())
            .setHostname(service.hostname())
            .setIpFamilies(
                switch (service.families()) {
                  case AUTOMATIC -> IPFamilies.AUTOMATIC;
                  case IPV4 -> IPFamilies.IPV4_ONLY;
                  case IPV6 -> IPFamilies.IPV6_ONLY;
                  case DUAL -> IPFamilies.DUAL;
                })
            .addAllSubjectAltNames(service.subjectAltNames());
    for (InetAddress address : service.addresses()) {
      out.addAddresses(
          NetworkAddress.newBuilder()
              .setNetwork(service.network())
              .setAddress(ByteString.copyFrom(address.getAddress())));
    }
    ServiceSettings.Builder settings =
        ServiceSettings.newBuilder()
            .setHeadless(service.headless())
            .setExternalName(service.externalName())
            .setPublishNotReadyAddresses(service.publishNotReady())
            .setClientAffinity(service.balancing().byClient());
    for (ServicePort port : service.ports()) {
      out.addPorts(port(port));
      if (!port.name().isEmpty()) {
        settings.putPortNames(port.port(), port.name());
      }
    }
    Balancing balancing = service.balancing();
    if (balancing.mode() != Balancing.Mode.UNSPECIFIED
        || !balancing.preference().isEmpty()
        || service.publishNotReady()) {
      LoadBalancing.Builder lb =
          LoadBalancing.newBuilder()
              .setMode(
                  switch (balancing.mode()) {
                    case UNSPECIFIED -> LoadBalancing.Mode.UNSPECIFIED_MODE;
                    case STRICT -> LoadBalancing.Mode.STRICT;
                    case FAILOVER -> LoadBalancing.Mode.FAILOVER;
                    case PASSTHROUGH -> LoadBalancing.Mode.PASSTHROUGH;
                  });
      if (service.publishNotReady()) {
        lb.setHealthPolicy(LoadBalancing.HealthPolicy.ALLOW_ALL);
      }
      for (Balancing.Scope scope : balancing.preference()) {
        lb.addRoutingPreference(
            switch (scope) {
              case REGION -> LoadBalancing.Scope.REGION;
              case ZONE -> LoadBalancing.Scope.ZONE;
              case SUBZONE -> LoadBalancing.Scope.SUBZONE;
              case NODE -> LoadBalancing.Scope.NODE;
              case CLUSTER -> LoadBalancing.Scope.CLUSTER;
              case NETWORK -> LoadBalancing.Scope.NETWORK;
            });
      }
      out.setLoadBalancing(lb);
    }
    if (!settings.build().equals(ServiceSettings.getDefaultInstance())) {
      out.addExtensions(
          Extension.newBuilder().setName(SERVICE_EXTENSION).setConfig(Any.pack(settings.build())));
    }
    return Address.newBuilder().setService(out).build();
  }

  /**
   * Reads the workload of an address.
   *
   * @throws AddressException if the address holds none, or one that cannot be
   */
  public static Workload workload(Address address) {
    if (!address.hasWorkload()) {
      throw new AddressException("address holds no workload");
    }
    var in = address.getWorkload();
    String what = "workload " + in.getUid();
    if (in.getUid().isEmpty()) {
      throw new AddressException(
          "workload "
              + in.getNamespace()
              + "/"
              + in.getName()
              + " has no uid, so nothing can name it");
    }
    if (in.getTunnelProtocol() == TunnelProtocol.LEGACY_ISTIO_MTLS) {
      throw new AddressException(
          what + " wants the tunnel LEGACY_ISTIO_MTLS (expected: NONE or HBONE)");
    }
    List<InetAddress> addresses = new ArrayList<>(in.getAddressesCount());
    for (ByteString bytes : in.getAddressesList()) {
      addresses.add(address(what, bytes));
    }
    Map<String, List<ServicePort>> services = new LinkedHashMap<>();
    in.getServicesMap()
        .forEach((key, list) -> {
          List<ServicePort> ports = new ArrayList<>(list.getPortsCount());
          list.getPortsList().forEach(port -> ports.add(port(what, port, "")));
          services.put(key, List.copyOf(ports));
        });
    Any settings = extension(in.getExtensionsList(), POD_EXTENSION);
    return new Workload(
        in.getUid(),
        in.getNamespace(),
        in.getName(),
        addresses,
        in.getNetwork(),
        in.getNode(),
        in.getHostname(),
        orElse(in.getServiceAccount(), Workload.DEFAULT_SERVICE_ACCOUNT),
        orElse(in.getTrustDomain(), Workload.DEFAULT_TRUST_DOMAIN),
        orElse(in.getClusterId(), Workload.DEFAULT_CLUSTER),
        in.hasLocality()
            ? new Locality(
                in.getLocality().getRegion(),
                in.getLocality().getZone(),
                in.getLocality().getSubzone())
            : Locality.UNKNOWN,
        switch (in.getWorkloadType()) {
          case DEPLOYMENT -> WorkloadKind.DEPLOYMENT;
          case CRONJOB -> WorkloadKind.CRONJOB;
          case JOB -> WorkloadKind.JOB;
          // A type from a newer Istio is told apart by name only.
          case POD, UNRECOGNIZED -> WorkloadKind.POD;
        },
        in.getWorkloadName(),
        in.getCanonicalName(),
        in.getCanonicalRevision(),
        in.getTunnelProtocol() == TunnelProtocol.HBONE ? Tunnel.HBONE : Tunnel.NONE,
        // An unknown status must not draw traffic.
        in.getStatus() == WorkloadStatus.HEALTHY,
        in.getNetworkMode() == NetworkMode.HOST_NETWORK,
        in.hasCapacity() ? in.getCapacity().getValue() : 1,
        services,
        (settings == null ? PodSettings.DEFAULT : settings(what, settings))
            .withApplicationTunnel(applicationTunnel(what, in)),
        in.getAuthorizationPoliciesList(),
        in.hasNetworkGateway() ? gateway(what, in.getNetworkGateway()) : null);
  }

  /**
   * Reads the service of an address.
   *
   * @throws AddressException if the address holds none, or one that cannot be
   */
  public static Service service(Address address) {
    if (!address.hasService()) {
      throw new AddressException("address holds no service");
    }
    var in = address.getService();
    if (in.getHostname().isEmpty()) {
      throw new AddressException(
          "service "
              + in.getNamespace()
              + "/"
              + in.getName()
              + " has no hostname, so nothing can name it");
    }
    String what = "service " + in.getNamespace() + "/" + in.getHostname();
    Any extension = extension(in.getExtensionsList(), SERVICE_EXTENSION);
    ServiceSettings settings = ServiceSettings.getDefaultInstance();
    if (extension != null) {
      try {
        settings = ServiceSettings.parseFrom(content(extension, "weir.v1alpha1.ServiceSettings"));
      } catch (InvalidProtocolBufferException e) {
        throw unreadable(what, SERVICE_EXTENSION, e);
      }
    }
    List<InetAddress> addresses = new ArrayList<>(in.getAddressesCount());
    String network = "";
    for (NetworkAddress each : in.getAddressesList()) {
      InetAddress ip = address(what, each.getAddress());
      if (each.hasLength() && each.getLength() != ip.getAddress().length * 8) {
        throw new AddressException(
            what
                + " has the address block "
                + ip.getHostAddress()
                + "/"
                + each.getLength()
                + " (expected: one address)");
      }
      addresses.add(ip);
      network = each.getNetwork();
    }
    List<ServicePort> ports = new ArrayList<>(in.getPortsCount());
    for (Port port : in.getPortsList()) {
      ports.add(port(what, port, settings.getPortNamesOrDefault(port.getServicePort(), "")));
    }
    LoadBalancing lb = in.getLoadBalancing();
    return new Service(
        in.getNamespace(),
        in.getName(),
        in.getHostname(),
        network,
        addresses,
        ports,
        switch (in.getIpFamilies()) {
          case IPV4_ONLY -> IpFamilies.IPV4;
          case IPV6_ONLY -> IpFamilies.IPV6;
          case DUAL -> IpFamilies.DUAL;
          case AUTOMATIC, UNRECOGNIZED -> IpFamilies.AUTOMATIC;
        },
        balancing(lb, settings.getClientAffinity()),
        settings.getHeadless(),
        settings.getExternalName(),
        settings.getPublishNotReadyAddresses()
            || lb.getHealthPolicy() == LoadBalancing.HealthPolicy.ALLOW_ALL,
        in.getSubjectAltNamesList());
  }

  private static dev.weir.api.proto.workload.GatewayAddress gateway(GatewayAddress gateway) {
    var out =
        dev.weir.api.proto.workload.GatewayAddress.newBuilder().setHboneMtlsPort(gateway.port());
    switch (gateway) {
      case GatewayAddress.At(String network, InetAddress address, int _) ->
          out.setAddress(
              NetworkAddress.newBuilder()
                  .setNetwork(network)
                  .setAddress(ByteString.copyFrom(address.getAddress())));
      case GatewayAddress.Named(String namespace, String hostname, int _) ->
          out.setHostname(
              NamespacedHostname.newBuilder().setNamespace(namespace).setHostname(hostname));
    }
    return out.build();
  }

  private static GatewayAddress gateway(
      String what, dev.weir.api.proto.workload.GatewayAddress in) {
    int port = in.getHboneMtlsPort();
    if (port < 1 || port > 65535) {
      throw new AddressException(
          what
              + " has a network gateway at the port "
              + Integer.toUnsignedString(port)
              + " (expected: 1-65535)");
    }
    return switch (in.getDestinationCase()) {
      case ADDRESS ->
          new GatewayAddress.At(
              in.getAddress().getNetwork(), address(what, in.getAddress().getAddress()), port);
      case HOSTNAME ->
          new GatewayAddress.Named(
              in.getHostname().getNamespace(), in.getHostname().getHostname(), port);
      case DESTINATION_NOT_SET ->
          throw new AddressException(what + " has a network gateway without address or hostname");
    };
  }

  private static Balancing balancing(LoadBalancing lb, boolean byClient) {
    List<Balancing.Scope> preference = new ArrayList<>(lb.getRoutingPreferenceCount());
    for (LoadBalancing.Scope scope : lb.getRoutingPreferenceList()) {
      switch (scope) {
        case REGION -> preference.add(Balancing.Scope.REGION);
        case ZONE -> preference.add(Balancing.Scope.ZONE);
        case SUBZONE -> preference.add(Balancing.Scope.SUBZONE);
        case NODE -> preference.add(Balancing.Scope.NODE);
        case CLUSTER -> preference.add(Balancing.Scope.CLUSTER);
        case NETWORK -> preference.add(Balancing.Scope.NETWORK);
        case UNSPECIFIED_SCOPE, UNRECOGNIZED -> {}
      }
    }
    return new Balancing(
        preference,
        switch (lb.getMode()) {
          case STRICT -> Balancing.Mode.STRICT;
          case FAILOVER -> Balancing.Mode.FAILOVER;
          case PASSTHROUGH -> Balancing.Mode.PASSTHROUGH;
          case UNSPECIFIED_MODE, UNRECOGNIZED -> Balancing.Mode.UNSPECIFIED;
        },
        byClient);
  }

  private static dev.weir.api.proto.weir.PodSettings settings(PodSettings settings) {
    var out =
        dev.weir.api.proto.weir.PodSettings.newBuilder()
            .setEnrolled(settings.enrolled())
            .setFastPath(
                switch (settings.fastPath()) {
                  case DIRECT -> dev.weir.api.proto.weir.FastPath.DIRECT;
                  case JOINED -> dev.weir.api.proto.weir.FastPath.JOINED;
                  case OFF -> dev.weir.api.proto.weir.FastPath.OFF;
                })
            .setOnAgentLoss(
                settings.onAgentLoss() == OnAgentLoss.OPEN
                    ? dev.weir.api.proto.weir.OnAgentLoss.OPEN
                    : dev.weir.api.proto.weir.OnAgentLoss.CLOSED)
            .addAllProbePorts(settings.probePorts())
            .setWeight(settings.weight() == PodSettings.DEFAULT_WEIGHT ? 0 : settings.weight());
    settings.excludeInboundPorts().forEach(range -> out.addExcludeInboundPorts(range(range)));
    settings.excludeOutboundPorts().forEach(range -> out.addExcludeOutboundPorts(range(range)));
    settings.excludeOutboundCidrs().forEach(cidr -> out.addExcludeOutboundCidrs(cidr.toString()));
    return out.build();
  }

  private static @Nullable ApplicationTunnel applicationTunnel(
      String what, dev.weir.api.proto.workload.Workload in) {
    var tunnel = in.getApplicationTunnel();
    try {
      return switch (tunnel.getProtocol()) {
        case NONE -> null;
        case PROXY -> new ApplicationTunnel(tunnel.getPort());
        // Without what it waits for, a program would misread every connection.
        case UNRECOGNIZED ->
            throw new AddressException(
                what
                    + " has the application tunnel "
                    + tunnel.getProtocolValue()
                    + " (expected: NONE or PROXY)");
      };
    } catch (IllegalArgumentException e) {
      throw new AddressException(what + ": " + e.getMessage());
    }
  }

  private static PodSettings settings(String what, Any config) {
    dev.weir.api.proto.weir.PodSettings in;
    try {
      in =
          dev.weir.api.proto.weir.PodSettings.parseFrom(
              content(config, "weir.v1alpha1.PodSettings"));
    } catch (InvalidProtocolBufferException e) {
      throw unreadable(what, POD_EXTENSION, e);
    }
    try {
      return new PodSettings(
          in.getEnrolled(),
          switch (in.getFastPath()) {
            case DIRECT -> FastPath.DIRECT;
            case JOINED -> FastPath.JOINED;
            // A level from a newer control plane: the most careful one is always right.
            case OFF, UNRECOGNIZED -> FastPath.OFF;
          },
          in.getOnAgentLoss() == dev.weir.api.proto.weir.OnAgentLoss.OPEN
              ? OnAgentLoss.OPEN
              : OnAgentLoss.CLOSED,
          in.getExcludeInboundPortsList().stream().map(Addresses::range).toList(),
          in.getExcludeOutboundPortsList().stream().map(Addresses::range).toList(),
          in.getExcludeOutboundCidrsList().stream().map(Cidr::parse).toList(),
          in.getProbePortsList(),
          in.getWeight() == 0 ? PodSettings.DEFAULT_WEIGHT : in.getWeight(),
          null);
    } catch (IllegalArgumentException e) {
      throw new AddressException(what + ": " + e.getMessage());
    }
  }

  private static dev.weir.api.proto.weir.PortRange range(PortRange range) {
    return dev.weir.api.proto.weir.PortRange.newBuilder()
        .setFirst(range.first())
        .setLast(range.last())
        .build();
  }

  private static PortRange range(dev.weir.api.proto.weir.PortRange range) {
    return new PortRange(range.getFirst(), range.getLast());
  }

  private static Port port(ServicePort port) {
    return Port.newBuilder()
        .setServicePort(port.port())
        .setTargetPort(port.targetPort())
        .setAppProtocol(
            switch (port.protocol()) {
              case UNKNOWN -> dev.weir.api.proto.workload.AppProtocol.UNKNOWN;
              case HTTP1 -> dev.weir.api.proto.workload.AppProtocol.HTTP11;
              case HTTP2 -> dev.weir.api.proto.workload.AppProtocol.HTTP2;
              case GRPC -> dev.weir.api.proto.workload.AppProtocol.GRPC;
              case TCP -> dev.weir.api.proto.workload.AppProtocol.TCP;
              case TLS -> dev.weir.api.proto.workload.AppProtocol.TLS;
            })
        .build();
  }

  private static ServicePort port(String what, Port port, String name) {
    if (port.getServicePort() < 1 || port.getServicePort() > 65535) {
      throw new AddressException(
          what
              + " has the port "
              + Integer.toUnsignedString(port.getServicePort())
              + " (expected: 1-65535)");
    }
    if (port.getTargetPort() < 0 || port.getTargetPort() > 65535) {
      throw new AddressException(
          what
              + " has the target port "
              + Integer.toUnsignedString(port.getTargetPort())
              + " (expected: 0-65535)");
    }
    return new ServicePort(
        name,
        port.getServicePort(),
        port.getTargetPort(),
        switch (port.getAppProtocol()) {
          case HTTP11 -> AppProtocol.HTTP1;
          case HTTP2 -> AppProtocol.HTTP2;
          case GRPC -> AppProtocol.GRPC;
          case TCP -> AppProtocol.TCP;
          case TLS -> AppProtocol.TLS;
          case UNKNOWN, UNRECOGNIZED -> AppProtocol.UNKNOWN;
        });
  }

  private static InetAddress address(String what, ByteString bytes) {
    try {
      return InetAddress.getByAddress(bytes.toByteArray());
    } catch (UnknownHostException e) {
      throw new AddressException(
          what + " has an address of " + bytes.size() + " bytes (expected: 4 or 16)");
    }
  }

  private static @Nullable Any extension(List<Extension> extensions, String name) {
    for (Extension extension : extensions) {
      if (extension.getName().equals(name)) {
        return extension.getConfig();
      }
    }
    return null;
  }

  /**
   * As Any.unpack, which asks the class by reflection for its name, and so makes an agent load the
   * accessors of every field.
   */
  private static ByteString content(Any any, String message) throws InvalidProtocolBufferException {
    String url = any.getTypeUrl();
    if (!url.substring(url.lastIndexOf('/') + 1).equals(message)) {
      throw new InvalidProtocolBufferException("holds '" + url + "' (expected: " + message + ")");
    }
    return any.getValue();
  }

  private static AddressException unreadable(
      String what, String extension, InvalidProtocolBufferException cause) {
    AddressException e =
        new AddressException(
            what
                + " has an unreadable extension "
                + extension
                + ": "
                + Objects.toString(cause.getMessage(), ""));
    e.initCause(cause);
    return e;
  }

  private static String elide(String value, String usual) {
    return value.equals(usual) ? "" : value;
  }

  private static String orElse(String value, String usual) {
    return value.isEmpty() ? usual : value;
  }
}

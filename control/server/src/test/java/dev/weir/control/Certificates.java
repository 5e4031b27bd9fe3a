package dev.weir.control;

import dev.weir.api.proto.ca.IstioCertificateRequest;
import dev.weir.api.proto.ca.IstioCertificateServiceGrpc;
import io.grpc.Channel;
import io.grpc.Metadata;
import io.grpc.stub.MetadataUtils;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** Asks for a certificate. */
final class Certificates {
  private Certificates() {}

  static List<String> ask(Channel channel, String token, String csr) {
    Metadata headers = new Metadata();
    headers.put(Follower.AUTHORIZATION, "Bearer " + token);
    return IstioCertificateServiceGrpc.newBlockingStub(channel)
        .withDeadlineAfter(15, TimeUnit.SECONDS)
        .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(headers))
        .createCertificate(IstioCertificateRequest.newBuilder().setCsr(csr).build())
        .getCertChainList();
  }
}

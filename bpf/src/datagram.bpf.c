/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * cgroup/sendmsg and recvmsg: DNS by datagrams without connect. A question to port 53 goes to the DNS listener in the pod, its
 * answer comes back under the address that was asked. A socket that asks several servers at once (musl does) remembers the
 * last one: resolvers accept an answer from any server of their list.
 */

SEC("cgroup/sendmsg4")
int weir_sendmsg4(struct bpf_sock_addr *ctx)
{
	return ctx->user_port == bpf_htons(PORT_DNS) ? outbound4(ctx, true) : 1;
}

SEC("cgroup/sendmsg6")
int weir_sendmsg6(struct bpf_sock_addr *ctx)
{
	return ctx->user_port == bpf_htons(PORT_DNS) ? outbound6(ctx, true) : 1;
}

static __always_inline struct weir_socket *dns_asked(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct weir_socket *socket;

	if (!sk)
		return 0;
	socket = bpf_sk_storage_get(&weir_sockets, sk, 0, 0);
	return socket && socket->path == WEIR_PATH_DNS ? socket : 0;
}

SEC("cgroup/recvmsg4")
int weir_recvmsg4(struct bpf_sock_addr *ctx)
{
	struct weir_socket *socket;

	if (ctx->user_port != bpf_htons(WEIR_PORT_DNS) || ctx->user_ip4 != LOOPBACK4)
		return 1;
	socket = dns_asked(ctx);
	if (socket && addr_is4(&socket->asked)) {
		ctx->user_ip4 = socket->asked.w[3];
		ctx->user_port = bpf_htons(socket->asked_port);
	}
	return 1;
}

SEC("cgroup/recvmsg6")
int weir_recvmsg6(struct bpf_sock_addr *ctx)
{
	struct weir_socket *socket;
	struct weir_addr from;

	if (ctx->user_port != bpf_htons(WEIR_PORT_DNS))
		return 1;
	from.w[0] = ctx->user_ip6[0];
	from.w[1] = ctx->user_ip6[1];
	from.w[2] = ctx->user_ip6[2];
	from.w[3] = ctx->user_ip6[3];
	if (!addr_is_loopback(&from))
		return 1;
	socket = dns_asked(ctx);
	if (socket) {
		ctx->user_ip6[0] = socket->asked.w[0];
		ctx->user_ip6[1] = socket->asked.w[1];
		ctx->user_ip6[2] = socket->asked.w[2];
		ctx->user_ip6[3] = socket->asked.w[3];
		ctx->user_port = bpf_htons(socket->asked_port);
	}
	return 1;
}

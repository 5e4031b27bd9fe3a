/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* cgroup/getpeername: a program sees as its peer what it asked for, not where the connection was turned to. */

static __always_inline struct weir_socket *socket_turned(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;

	return sk ? bpf_sk_storage_get(&weir_sockets, sk, 0, 0) : 0;
}

SEC("cgroup/getpeername4")
int weir_getpeername4(struct bpf_sock_addr *ctx)
{
	struct weir_socket *socket = socket_turned(ctx);

	if (socket && addr_is4(&socket->asked)) {
		ctx->user_ip4 = socket->asked.w[3];
		ctx->user_port = bpf_htons(socket->asked_port);
	}
	return 1;
}

SEC("cgroup/getpeername6")
int weir_getpeername6(struct bpf_sock_addr *ctx)
{
	struct weir_socket *socket = socket_turned(ctx);

	if (socket) {
		ctx->user_ip6[0] = socket->asked.w[0];
		ctx->user_ip6[1] = socket->asked.w[1];
		ctx->user_ip6[2] = socket->asked.w[2];
		ctx->user_ip6[3] = socket->asked.w[3];
		ctx->user_port = bpf_htons(socket->asked_port);
	}
	return 1;
}

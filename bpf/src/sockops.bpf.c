/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * sockops: the life of a connection after connect(2).
 *
 *   TCP_CONNECT_CB         local port known, SYN not sent: a kernel flow is recorded, so that egress and the destination's
 *                          ingress know it
 *   ACTIVE_ESTABLISHED     a captured one publishes what it asked for, before the agent can accept it
 *   PASSIVE_ESTABLISHED    the other end of a joined flow
 *   HDR_OPT_LEN            of joined sockets only: before a segment with a window leaves
 *   STATE_CB, to CLOSE     the flow's account is handed over
 */

/* The connection as this end sees it: from here to there. */
static __always_inline void tuple_from_here(struct bpf_sock_ops *ctx, struct weir_tuple *tuple)
{
	if (ctx->family == AF_INET) {
		addr_from4(&tuple->saddr, CTX_READ(ctx, local_ip4));
		addr_from4(&tuple->daddr, CTX_READ(ctx, remote_ip4));
	} else {
		tuple->saddr.w[0] = CTX_READ(ctx, local_ip6[0]);
		tuple->saddr.w[1] = CTX_READ(ctx, local_ip6[1]);
		tuple->saddr.w[2] = CTX_READ(ctx, local_ip6[2]);
		tuple->saddr.w[3] = CTX_READ(ctx, local_ip6[3]);
		tuple->daddr.w[0] = CTX_READ(ctx, remote_ip6[0]);
		tuple->daddr.w[1] = CTX_READ(ctx, remote_ip6[1]);
		tuple->daddr.w[2] = CTX_READ(ctx, remote_ip6[2]);
		tuple->daddr.w[3] = CTX_READ(ctx, remote_ip6[3]);
	}
	tuple->sport = ctx->local_port;
	tuple->dport = bpf_ntohl(ctx->remote_port);
	tuple->scope = 0;
}

static __always_inline void tuple_reverse(const struct weir_tuple *tuple, struct weir_tuple *reverse)
{
	reverse->saddr = tuple->daddr;
	reverse->daddr = tuple->saddr;
	reverse->sport = tuple->dport;
	reverse->dport = tuple->sport;
	reverse->scope = tuple->scope;
}

static __always_inline bool path_has_flow(__u32 path)
{
	return path >= WEIR_PATH_DIRECT && path <= WEIR_PATH_OPEN;
}

static __always_inline void flow_start(struct bpf_sock_ops *ctx, const struct weir_socket *socket)
{
	struct weir_flow flow = {};
	struct weir_tuple tuple;

	tuple_from_here(ctx, &tuple);
	flow.cookie = bpf_get_netns_cookie(ctx);
	flow.opened_ns = bpf_ktime_get_ns();
	flow.asked = socket->asked;
	flow.asked_port = socket->asked_port;
	flow.path = socket->path;
	flow.service = socket->service;
	flow.src_pod = socket->src_pod;
	flow.dst_pod = socket->dst_pod;
	/* A SYN without a flow is stopped at egress, so a full map closes, and says why here. */
	if (bpf_map_update_elem(&weir_flows, &tuple, &flow, BPF_ANY))
		drop_report(socket->src_pod, WEIR_REASON_MAP_FULL, &tuple);
	bpf_sock_ops_cb_flags_set(ctx, BPF_SOCK_OPS_STATE_CB_FLAG);
}

static __always_inline void original_publish(struct bpf_sock_ops *ctx, const struct weir_socket *socket, __u64 cookie,
					     const struct weir_tuple *tuple)
{
	struct weir_original_key key = {.cookie = cookie, .port = tuple->sport};
	struct weir_original original = {
		.asked = socket->asked,
		.picked = socket->picked,
		.asked_port = socket->asked_port,
		.picked_port = socket->picked_port,
		.service = socket->service,
		.pod = socket->src_pod,
	};
	struct weir_addr usual;

	key.family = addr_is4(&tuple->daddr) ? AF_INET : AF_INET6;
	/* A program that has bound an address of the pod's may have the port of one that has not. */
	addr_loopback(&usual, addr_is4(&tuple->daddr));
	if (!addr_equal(&tuple->saddr, &usual))
		key.from = tuple->saddr.w[3];
	bpf_map_update_elem(&weir_originals, &key, &original, BPF_ANY);
}

#define SOCK_SNDBUF_LOCK 1
#define SOCK_RCVBUF_LOCK 2

/* The program has set SO_SNDBUF or SO_RCVBUF by itself. */
static __always_inline bool sock_chose(struct tcp_sock *tcp, __u8 lock)
{
	struct sock *sk = (struct sock *)tcp;

	return BPF_CORE_READ_BITFIELD_PROBED(sk, sk_userlocks) & lock;
}

/* 0 leaves it as it is. */
static __always_inline void sock_set(struct bpf_sock_ops *ctx, int level, int option, int value)
{
	if (value)
		bpf_setsockopt(ctx, level, option, &value, sizeof(value));
}

/*
 * What never leaves this machine has no wire to pace for, and BBR would wait for timers between its bursts. Asked before the kernel
 * starts the algorithm (tcp_init_transfer), so its name is what tells. A program that has chosen by itself keeps its choice.
 */
static __always_inline void sock_unpaced(struct bpf_sock_ops *ctx, struct bpf_sock *sk)
{
	struct inet_connection_sock *connection = (struct inet_connection_sock *)bpf_skc_to_tcp_sock(sk);
	char reno[] = "reno";
	char name[4] = {};

	if (!connection || BPF_CORE_READ_BITFIELD_PROBED(connection, icsk_ca_setsockopt))
		return;
	BPF_CORE_READ_INTO(&name, connection, icsk_ca_ops, name);
	if (name[0] == 'b' && name[1] == 'b' && name[2] == 'r')
		bpf_setsockopt(ctx, IPPROTO_TCP, TCP_CONGESTION, reno, sizeof(reno));
}

/*
 * A joined socket's TCP window stays small, and within an eighth of the receive buffer: with overhead a quarter, what the spill rule
 * leaves to TCP. The less TCP holds, the sooner a reader that is slower than its writer has read it empty, and both are joined again.
 * The kernel forgets a clamp whenever it learns a new ratio of payload to memory (tcp_measure_rcv_mss), so it is renewed before each
 * segment that could announce more. A joined socket sends few of those.
 */
static __always_inline void window_keep(struct bpf_sock_ops *ctx, struct tcp_sock *tcp)
{
	struct sock *sk = (struct sock *)tcp;
	__u32 window = (__u32)sk->sk_rcvbuf / 8;

	if (window > weir_joined_window)
		window = weir_joined_window;
	if (tcp->window_clamp != window)
		sock_set(ctx, IPPROTO_TCP, TCP_WINDOW_CLAMP, window);
}

static __always_inline bool sock_fin_received(struct tcp_sock *tcp)
{
	struct sock *sk = (struct sock *)tcp;

	return sk->__sk_common.skc_flags & (1UL << bpf_core_enum_value(enum sock_flags, SOCK_DONE));
}

/* Puts this end where the other can find it. `here` is the connection from this end. */
static __always_inline void join_end(struct bpf_sock_ops *ctx, struct bpf_sock *sk, const struct weir_tuple *here, __u32 counted)
{
	struct weir_meeting meeting = {}, *other;
	struct weir_tuple there;
	struct weir_join *join;
	struct tcp_sock *tcp;
	__u64 cookie;

	tcp = bpf_skc_to_tcp_sock(sk);
	if (!tcp)
		return;
	cookie = bpf_get_socket_cookie(ctx);
	meeting.cookie = cookie;
	meeting.sock = (__u64)tcp;
	tuple_reverse(here, &there);
	join = bpf_sk_storage_get(&weir_joins, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!join)
		return;
	join->toward = there;
	join->counted = counted;
	/* Bytes may leave by TCP before both ends are in the map: each direction starts as if it had spilled. */
	join->spilled = 1;
	other = bpf_map_lookup_elem(&weir_meetings, &there);
	if (other) {
		join->peer = other->sock;
		join->peer_cookie = other->cookie;
	}
	if (bpf_sock_hash_update(ctx, &weir_joinable, &cookie, BPF_ANY)) {
		bpf_sk_storage_delete(&weir_joins, sk);
		return;
	}
	bpf_map_update_elem(&weir_meetings, here, &meeting, BPF_ANY);
	if (!sock_chose(tcp, SOCK_RCVBUF_LOCK))
		sock_set(ctx, SOL_SOCKET, SO_RCVBUF, weir_joined_rcvbuf);
	if (!sock_chose(tcp, SOCK_SNDBUF_LOCK))
		sock_set(ctx, SOL_SOCKET, SO_SNDBUF, weir_joined_sndbuf);
	sock_unpaced(ctx, sk);
	window_keep(ctx, tcp);
	bpf_sock_ops_cb_flags_set(ctx, BPF_SOCK_OPS_STATE_CB_FLAG | BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG);
}

static __always_inline void active_established(struct bpf_sock_ops *ctx, struct bpf_sock *sk)
{
	struct weir_socket *socket = bpf_sk_storage_get(&weir_sockets, sk, 0, 0);
	struct weir_tuple here;
	struct weir_flow *flow;
	struct weir_pod *pod;
	__u64 cookie;

	if (!socket && sk->mark != WEIR_MARK_DELIVER)
		return;
	tuple_from_here(ctx, &here);
	if (socket && path_has_flow(socket->path)) {
		flow = bpf_map_lookup_elem(&weir_flows, &here);
		if (!flow)
			return;
		flow->established_ns = bpf_ktime_get_ns();
		if (socket->path == WEIR_PATH_DIRECT)
			sock_unpaced(ctx, sk);
		if (socket->path == WEIR_PATH_JOINED)
			join_end(ctx, sk, &here, 1);
		return;
	}
	if (socket && socket->path != WEIR_PATH_AGENT)
		return;
	/* To the agent, or from the agent into the pod: over lo. */
	sock_unpaced(ctx, sk);
	cookie = bpf_get_netns_cookie(ctx);
	if (socket)
		original_publish(ctx, socket, cookie, &here);
	pod = bpf_map_lookup_elem(&weir_pods, &cookie);
	if (!pod || !pod_may_join(pod))
		return;
	here.scope = (__u32)cookie;
	join_end(ctx, sk, &here, 0);
}

static __always_inline void passive_established(struct bpf_sock_ops *ctx, struct bpf_sock *sk)
{
	__u64 cookie = bpf_get_netns_cookie(ctx);
	struct weir_pod *pod = bpf_map_lookup_elem(&weir_pods, &cookie);
	struct weir_tuple here, there;
	struct weir_flow *flow;

	if (!pod)
		return;
	/* The agent's end of a captured connection, and the program's end of one that the agent delivers. */
	if (ctx->local_port == WEIR_PORT_OUTBOUND || sk->mark == WEIR_MARK_DELIVER)
		sock_unpaced(ctx, sk);
	tuple_from_here(ctx, &here);
	tuple_reverse(&here, &there);
	flow = bpf_map_lookup_elem(&weir_flows, &there);
	if (flow) {
		if (flow->dst_pod != pod->pod)
			return;
		if (flow->path == WEIR_PATH_DIRECT)
			sock_unpaced(ctx, sk);
		if (flow->path == WEIR_PATH_JOINED && pod_may_join(pod))
			join_end(ctx, sk, &here, 2);
		return;
	}
	if (!pod_may_join(pod))
		return;
	/* In the pod: a program at the agent's listener, or the agent at the program's. The client has announced itself. */
	here.scope = (__u32)cookie;
	there.scope = (__u32)cookie;
	if (bpf_map_lookup_elem(&weir_meetings, &there))
		join_end(ctx, sk, &here, 0);
}

static __always_inline void flow_end(struct bpf_sock_ops *ctx, struct bpf_sock *sk, const struct weir_tuple *tuple)
{
	struct weir_flow *flow = bpf_map_lookup_elem(&weir_flows, tuple);
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
	struct weir_event event = {};

	if (!flow || !tcp)
		return;
	event.kind = flow->established_ns ? WEIR_EVENT_FLOW_CLOSED : WEIR_EVENT_FLOW_FAILED;
	event.tuple = *tuple;
	event.flow = *flow;
	event.bytes_sent = tcp->bytes_sent - tcp->bytes_retrans + flow->joined_tx;
	/* The kernel counts a received FIN as a byte. */
	event.bytes_received = tcp->bytes_received + flow->joined_rx - sock_fin_received(tcp);
	event.srtt_us = ctx->srtt_us >> 3;
	event.retransmits = ctx->total_retrans;
	event.closed_ns = bpf_ktime_get_ns();
	bpf_map_delete_elem(&weir_flows, tuple);
	event_send(&event);
}

static __always_inline void closed(struct bpf_sock_ops *ctx, struct bpf_sock *sk)
{
	struct weir_socket *socket = bpf_sk_storage_get(&weir_sockets, sk, 0, 0);
	struct weir_join *join = bpf_sk_storage_get(&weir_joins, sk, 0, 0);
	struct weir_tuple here;

	if (join) {
		tuple_reverse(&join->toward, &here);
		bpf_map_delete_elem(&weir_meetings, &here);
	}
	if (socket && path_has_flow(socket->path)) {
		tuple_from_here(ctx, &here);
		flow_end(ctx, sk, &here);
	}
}

SEC("sockops")
int weir_sockops(struct bpf_sock_ops *ctx)
{
	struct weir_socket *socket;
	struct tcp_sock *tcp;
	struct bpf_sock *sk;

	/* "Not answered" to the calls that ask for a value. */
	ctx->reply = -1;
	if (ctx->op != BPF_SOCK_OPS_TCP_CONNECT_CB && ctx->op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB &&
	    ctx->op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB && ctx->op != BPF_SOCK_OPS_STATE_CB &&
	    ctx->op != BPF_SOCK_OPS_HDR_OPT_LEN_CB)
		return 1;
	sk = ctx->sk;
	if (!sk)
		return 1;
	switch (ctx->op) {
	case BPF_SOCK_OPS_TCP_CONNECT_CB:
		socket = bpf_sk_storage_get(&weir_sockets, sk, 0, 0);
		if (socket && path_has_flow(socket->path))
			flow_start(ctx, socket);
		break;
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
		active_established(ctx, sk);
		break;
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		passive_established(ctx, sk);
		break;
	case BPF_SOCK_OPS_HDR_OPT_LEN_CB:
		tcp = bpf_skc_to_tcp_sock(sk);
		if (tcp)
			window_keep(ctx, tcp);
		break;
	case BPF_SOCK_OPS_STATE_CB:
		if (ctx->args[1] == TCP_CLOSE)
			closed(ctx, sk);
		break;
	}
	return 1;
}

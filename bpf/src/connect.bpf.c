/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * cgroup/connect4 and connect6: where a pod's connection goes is decided before its SYN exists.
 *
 *   agent's delivery                     refused from a port that the client calls the same server from, so that it takes another
 *   agent's own, loopback, own address   as it is
 *   excluded by annotation               as it is, recorded
 *   no agent alive                       refused, or as it is where the pod asked for `open`
 *   port 53                              the DNS listener in the pod
 *   a Service address                    its endpoint is picked here, then:
 *   pod of this node, verdict stands     connected directly
 *   anything else                        the outbound listener in the pod; the agent decides
 *
 * A v6 socket with a v4-mapped address is a v4 connection that comes through connect6: all judgement is on mapped addresses,
 * only reading and writing the context differs.
 */

struct outbound {
	__u64 cookie;
	struct weir_pod *pod;
	struct weir_socket socket; /* asked and picked */
	struct weir_addr to;       /* where the connection goes in the end */
	__u16 to_port;
};

static __always_inline int refuse(int error)
{
	/* Without bpf_set_retval (before 5.18) connect fails with EPERM. */
	if (bpf_core_enum_value_exists(enum bpf_func_id___weir, BPF_FUNC_set_retval___weir))
		bpf_set_retval(-error);
	return 0;
}

static __always_inline int outbound_refuse(const struct outbound *out, __u32 reason)
{
	struct weir_tuple tuple = {};

	__builtin_memcpy(&tuple.daddr, &out->socket.asked, sizeof(tuple.daddr));
	tuple.dport = out->socket.asked_port;
	drop_report(out->pod->pod, reason, &tuple);
	return refuse(ECONNREFUSED);
}

/* The agent lives if it beats and listens: a killed one stops listening at once, a hung one stops beating. */
static __always_inline bool agent_listens(struct bpf_sock_addr *ctx, bool v4, __u16 port, bool udp)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *sk;
	bool listens;
	__u32 size;

	if (!agent_beats())
		return false;
	if (v4) {
		tuple.ipv4.saddr = LOOPBACK4;
		tuple.ipv4.daddr = LOOPBACK4;
		tuple.ipv4.dport = bpf_htons(port);
		size = sizeof(tuple.ipv4);
	} else {
		tuple.ipv6.saddr[3] = LOOPBACK6_LAST;
		tuple.ipv6.daddr[3] = LOOPBACK6_LAST;
		tuple.ipv6.dport = bpf_htons(port);
		size = sizeof(tuple.ipv6);
	}
	if (udp)
		sk = bpf_sk_lookup_udp(ctx, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	else
		sk = bpf_sk_lookup_tcp(ctx, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return false;
	listens = udp || sk->state == TCP_LISTEN;
	bpf_sk_release(sk);
	return listens;
}

/*
 * A delivery has its client's address and shares the pod's namespace with what the client sent itself. From a port that the client calls
 * that very server from, its SYN would find the client's own connection, whose answer makes the agent's kernel reset it: so whoever calls from
 * there is looked for, by the addresses that the SYN will have. A connection of the client's that rests would have to be reset first, which
 * takes the SYN some milliseconds: that keeps deliveries from odd ports only, their first choice, since all ports may be so.
 */
static __always_inline bool delivery_meets(struct bpf_sock_addr *ctx, const struct bpf_sock *sk, const struct outbound *out)
{
	const struct weir_addr *to = &out->socket.asked;
	struct bpf_sock_tuple tuple = {};
	struct tcp_timewait_sock *resting;
	struct bpf_sock *found;
	bool meets;
	__u32 size;

	if (addr_is4(to)) {
		tuple.ipv4.saddr = sk->src_ip4;
		tuple.ipv4.daddr = to->w[3];
		tuple.ipv4.sport = bpf_htons(sk->src_port);
		tuple.ipv4.dport = bpf_htons(out->socket.asked_port);
		size = sizeof(tuple.ipv4);
	} else {
		tuple.ipv6.saddr[0] = sk->src_ip6[0];
		tuple.ipv6.saddr[1] = sk->src_ip6[1];
		tuple.ipv6.saddr[2] = sk->src_ip6[2];
		tuple.ipv6.saddr[3] = sk->src_ip6[3];
		__builtin_memcpy(tuple.ipv6.daddr, to, sizeof(tuple.ipv6.daddr));
		tuple.ipv6.sport = bpf_htons(sk->src_port);
		tuple.ipv6.dport = bpf_htons(out->socket.asked_port);
		size = sizeof(tuple.ipv6);
	}
	found = bpf_skc_lookup_tcp(ctx, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	if (!found)
		return false;
	resting = bpf_skc_to_tcp_timewait_sock(found);
	if (resting)
		/* What the server keeps of an earlier delivery, the SYN opens anew. */
		meets = (sk->src_port & 1) && resting->tw_sk.tw_mark != WEIR_MARK_DELIVER;
	else
		meets = found->state != TCP_LISTEN;
	bpf_sk_release(found);
	return meets;
}

static __always_inline bool outbound_excluded(const struct outbound *out)
{
	struct weir_cidr_key key;

	if (pod_has_port_rule(out->pod, out->cookie, out->socket.asked_port, WEIR_PORT_EXCLUDE_OUTBOUND))
		return true;
	if (!(out->pod->flags & WEIR_POD_CIDR_RULES))
		return false;
	key.prefixlen = 64 + 128;
	key.cookie[0] = bpf_htonl(out->cookie >> 32);
	key.cookie[1] = bpf_htonl((__u32)out->cookie);
	key.addr = out->socket.asked;
	return bpf_map_lookup_elem(&weir_cidrs, &key);
}

/* The endpoint of a slot, or null: then a new generation has just replaced the one that the caller read. */
static __always_inline struct weir_endpoint *endpoint_pick(const struct weir_service *service)
{
	struct weir_endpoint_key key = {.service = service->id, .generation = service->generation};
	__u32 random = bpf_get_prandom_u32();
	struct weir_endpoint *endpoint;

	/* Slot and threshold from different bits, or small services would be skewed. */
	key.slot = (__u32)(((__u64)random * service->count) >> 32);
	endpoint = bpf_map_lookup_elem(&weir_endpoints, &key);
	if (!endpoint || endpoint->threshold == 65535 || (__u16)bpf_get_prandom_u32() < endpoint->threshold)
		return endpoint;
	key.slot = endpoint->alias;
	return bpf_map_lookup_elem(&weir_endpoints, &key);
}

enum picked {
	PICKED_NONE,
	PICKED_REFUSE,
	PICKED_ENDPOINT,
};

static __always_inline enum picked service_pick(struct weir_socket *socket)
{
	struct weir_service_key key = {.addr = socket->asked, .port = socket->asked_port, .proto = IPPROTO_TCP};
	struct weir_service *service = bpf_map_lookup_elem(&weir_services, &key);
	struct weir_endpoint *endpoint;
	struct weir_service seen;

	if (!service)
		return PICKED_NONE;
	seen = *service;
	socket->service = seen.id;
	if (seen.flags & WEIR_SERVICE_AGENT)
		return PICKED_NONE;
	if (!seen.count)
		return PICKED_REFUSE;
	endpoint = endpoint_pick(&seen);
	if (!endpoint) {
		service = bpf_map_lookup_elem(&weir_services, &key);
		if (!service)
			return PICKED_NONE;
		seen = *service;
		if (!seen.count)
			return PICKED_REFUSE;
		endpoint = endpoint_pick(&seen);
		if (!endpoint)
			return PICKED_NONE;
	}
	socket->picked = endpoint->addr;
	socket->picked_port = endpoint->port;
	return PICKED_ENDPOINT;
}

/* Direct or joined where the destination is a pod of this node and the agent has allowed it, else through the agent. */
static __always_inline __u32 path_to(const struct outbound *out, const struct weir_address *address)
{
	struct weir_verdict_key key = {.identity = out->pod->identity, .pod = address->pod, .port = out->socket.picked_port};
	struct weir_verdict *verdict;
	struct weir_pod *there;
	__u64 cookie = address->cookie;

	if (out->pod->flags & WEIR_POD_OFF)
		return WEIR_PATH_AGENT;
	there = bpf_map_lookup_elem(&weir_pods, &cookie);
	if (!there || (there->flags & WEIR_POD_OFF))
		return WEIR_PATH_AGENT;
	verdict = bpf_map_lookup_elem(&weir_verdicts, &key);
	if (!verdict)
		return WEIR_PATH_AGENT;
	if ((verdict->flags & WEIR_VERDICT_JOINED) && pod_may_join(out->pod) && pod_may_join(there))
		return WEIR_PATH_JOINED;
	return WEIR_PATH_DIRECT;
}

enum decision {
	DECIDE_LEAVE,  /* as the program asked, nothing remembered */
	DECIDE_RECORD, /* as the program asked, remembered */
	DECIDE_TURN,   /* to out->to, remembered */
	DECIDE_REFUSE,
};

/* `v4` is what travels on the wire; `mapped` that an AF_INET6 socket is asked to carry it. */
static __always_inline enum decision outbound_tcp(struct bpf_sock_addr *ctx, struct outbound *out, bool v4, bool v4_only)
{
	struct weir_socket *socket = &out->socket;
	struct weir_address *address;

	if (addr_is_loopback(&socket->asked) || pod_owns(out->pod, &socket->asked)) {
		if (!port_is_agents(socket->asked_port) || socket->asked_port == WEIR_PORT_DNS)
			return DECIDE_LEAVE;
		outbound_refuse(out, WEIR_REASON_SELF_PORT);
		return DECIDE_REFUSE;
	}
	if (outbound_excluded(out)) {
		socket->path = WEIR_PATH_EXCLUDED;
		return DECIDE_RECORD;
	}
	if (!agent_listens(ctx, v4, WEIR_PORT_OUTBOUND, false)) {
		if (out->pod->flags & WEIR_POD_LOSS_OPEN) {
			socket->path = WEIR_PATH_OPEN;
			return DECIDE_RECORD;
		}
		outbound_refuse(out, WEIR_REASON_NO_AGENT);
		return DECIDE_REFUSE;
	}
	if (socket->asked_port == PORT_DNS && (out->pod->flags & WEIR_POD_DNS)) {
		socket->path = WEIR_PATH_DNS;
		out->to_port = WEIR_PORT_DNS;
		return DECIDE_TURN;
	}
	if (service_pick(socket) == PICKED_REFUSE) {
		outbound_refuse(out, WEIR_REASON_NO_ENDPOINT);
		return DECIDE_REFUSE;
	}
	socket->path = WEIR_PATH_AGENT;
	out->to_port = WEIR_PORT_OUTBOUND;
	/* An endpoint of the other family is the agent's to reach. */
	if (addr_is4(&socket->picked) != v4 || (v4_only && !addr_is4(&socket->picked)))
		return DECIDE_TURN;
	if (pod_owns(out->pod, &socket->picked)) {
		socket->path = WEIR_PATH_LOCAL;
		out->to = socket->picked;
		out->to_port = socket->picked_port;
		return DECIDE_TURN;
	}
	address = bpf_map_lookup_elem(&weir_addresses, &socket->picked);
	if (!address || !(address->flags & WEIR_ADDRESS_POD))
		return DECIDE_TURN;
	if (port_is_agents(socket->picked_port)) {
		outbound_refuse(out, WEIR_REASON_SELF_PORT);
		return DECIDE_REFUSE;
	}
	socket->dst_pod = address->pod;
	socket->path = path_to(out, address);
	if (socket->path != WEIR_PATH_AGENT) {
		out->to = socket->picked;
		out->to_port = socket->picked_port;
	}
	return DECIDE_TURN;
}

/* UDP only where it is DNS. */
static __always_inline enum decision outbound_udp(struct bpf_sock_addr *ctx, struct outbound *out, bool v4)
{
	struct weir_socket *socket = &out->socket;

	if (socket->asked_port != PORT_DNS || !(out->pod->flags & WEIR_POD_DNS) || addr_is_loopback(&socket->asked) ||
	    pod_owns(out->pod, &socket->asked) || outbound_excluded(out))
		return DECIDE_LEAVE;
	if (!agent_listens(ctx, v4, WEIR_PORT_DNS, true)) {
		if (out->pod->flags & WEIR_POD_LOSS_OPEN)
			return DECIDE_LEAVE;
		outbound_refuse(out, WEIR_REASON_DNS_NO_AGENT);
		return DECIDE_REFUSE;
	}
	socket->path = WEIR_PATH_DNS;
	out->to_port = WEIR_PORT_DNS;
	return DECIDE_TURN;
}

static __always_inline bool outbound_remember(struct bpf_sock_addr *ctx, const struct outbound *out)
{
	struct bpf_sock *sk = ctx->sk;
	struct weir_socket *kept;

	if (!sk)
		return false;
	kept = bpf_sk_storage_get(&weir_sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!kept)
		return false;
	*kept = out->socket;
	return true;
}

/* 1: go on, to out->to if `turned`; 0: refused. */
static __always_inline int outbound(struct bpf_sock_addr *ctx, struct outbound *out, bool v4_only, bool datagram, bool *turned)
{
	struct bpf_sock *sk = ctx->sk;
	enum decision decision;
	bool v4;

	if (!sk)
		return 1;
	if (sk->mark == WEIR_MARK_DELIVER && !datagram && delivery_meets(ctx, sk, out))
		return refuse(EADDRINUSE);
	if (mark_is_agents(sk->mark))
		return 1;
	out->socket.picked = out->socket.asked;
	out->socket.picked_port = out->socket.asked_port;
	out->socket.src_pod = out->pod->pod;
	v4 = addr_is4(&out->socket.asked);
	addr_loopback(&out->to, v4);
	decision = datagram ? outbound_udp(ctx, out, v4) : outbound_tcp(ctx, out, v4, v4_only);
	switch (decision) {
	case DECIDE_LEAVE:
		/* A socket may be connected a second time: what the first time left must not answer getpeername. A datagram socket
		 * keeps it, since answers of its DNS server may still be under way. */
		if (!datagram)
			bpf_sk_storage_delete(&weir_sockets, sk);
		return 1;
	case DECIDE_REFUSE:
		return 0;
	default:
		break;
	}
	if (!outbound_remember(ctx, out)) {
		outbound_refuse(out, WEIR_REASON_MAP_FULL);
		return 0;
	}
	*turned = decision == DECIDE_TURN;
	return 1;
}

static __always_inline bool outbound_enter(struct bpf_sock_addr *ctx, struct outbound *out)
{
	out->cookie = bpf_get_netns_cookie(ctx);
	out->pod = bpf_map_lookup_elem(&weir_pods, &out->cookie);
	return out->pod;
}

static __always_inline int outbound4(struct bpf_sock_addr *ctx, bool datagram)
{
	struct outbound out = {};
	bool turned = false;

	if (!outbound_enter(ctx, &out))
		return 1;
	addr_from4(&out.socket.asked, ctx->user_ip4);
	out.socket.asked_port = bpf_ntohs(ctx->user_port);
	if (!outbound(ctx, &out, true, datagram, &turned))
		return 0;
	if (turned) {
		ctx->user_ip4 = out.to.w[3];
		ctx->user_port = bpf_htons(out.to_port);
	}
	return 1;
}

static __always_inline int outbound6(struct bpf_sock_addr *ctx, bool datagram)
{
	struct outbound out = {};
	bool turned = false;

	if (!outbound_enter(ctx, &out))
		return 1;
	out.socket.asked.w[0] = ctx->user_ip6[0];
	out.socket.asked.w[1] = ctx->user_ip6[1];
	out.socket.asked.w[2] = ctx->user_ip6[2];
	out.socket.asked.w[3] = ctx->user_ip6[3];
	out.socket.asked_port = bpf_ntohs(ctx->user_port);
	if (!outbound(ctx, &out, false, datagram, &turned))
		return 0;
	if (turned) {
		ctx->user_ip6[0] = out.to.w[0];
		ctx->user_ip6[1] = out.to.w[1];
		ctx->user_ip6[2] = out.to.w[2];
		ctx->user_ip6[3] = out.to.w[3];
		ctx->user_port = bpf_htons(out.to_port);
	}
	return 1;
}

SEC("cgroup/connect4")
int weir_connect4(struct bpf_sock_addr *ctx)
{
	if (ctx->type == SOCK_STREAM && ctx->protocol == IPPROTO_TCP)
		return outbound4(ctx, false);
	if (ctx->type == SOCK_DGRAM && ctx->user_port == bpf_htons(PORT_DNS))
		return outbound4(ctx, true);
	return 1;
}

SEC("cgroup/connect6")
int weir_connect6(struct bpf_sock_addr *ctx)
{
	if (ctx->type == SOCK_STREAM && ctx->protocol == IPPROTO_TCP)
		return outbound6(ctx, false);
	if (ctx->type == SOCK_DGRAM && ctx->user_port == bpf_htons(PORT_DNS))
		return outbound6(ctx, true);
	return 1;
}

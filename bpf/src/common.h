/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Words that all hooks share: addresses, pods, drops, events, the agent's liveness. */
#ifndef WEIR_COMMON_H
#define WEIR_COMMON_H

#define AF_INET 2
#define AF_INET6 10
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define TCP_CLOSE 7
#define TCP_LISTEN 10
#define EADDRINUSE 98
#define ECONNREFUSED 111

#define SOL_SOCKET 1
#define SO_SNDBUF 7
#define SO_RCVBUF 8
#define TCP_WINDOW_CLAMP 10
#define TCP_CONGESTION 13

#define PORT_DNS 53

/* The verifier refuses a computed context pointer, which the compiler makes when two branches read different fields. */
#define CTX_READ(ctx, field)                                                                                              \
	({                                                                                                                \
		__u32 value;                                                                                              \
		asm volatile("%[value] = *(u32 *)(%[base] + %[offset])"                                                   \
			     : [value] "=r"(value)                                                                        \
			     : [base] "r"(ctx), [offset] "i"(__builtin_offsetof(typeof(*(ctx)), field)));                 \
		value;                                                                                                    \
	})

#define LOOPBACK4 bpf_htonl(0x7f000001)
#define LOOPBACK6_LAST bpf_htonl(1)

static __always_inline void addr_from4(struct weir_addr *addr, __u32 ip)
{
	addr->w[0] = 0;
	addr->w[1] = 0;
	addr->w[2] = bpf_htonl(0xffff);
	addr->w[3] = ip;
}

static __always_inline void addr_loopback(struct weir_addr *addr, bool v4)
{
	addr->w[0] = 0;
	addr->w[1] = 0;
	addr->w[2] = v4 ? bpf_htonl(0xffff) : 0;
	addr->w[3] = v4 ? LOOPBACK4 : LOOPBACK6_LAST;
}

static __always_inline bool addr_is4(const struct weir_addr *addr)
{
	return addr->w[0] == 0 && addr->w[1] == 0 && addr->w[2] == bpf_htonl(0xffff);
}

static __always_inline bool addr_equal(const struct weir_addr *a, const struct weir_addr *b)
{
	return a->w[0] == b->w[0] && a->w[1] == b->w[1] && a->w[2] == b->w[2] && a->w[3] == b->w[3];
}

/* Loopback, or unspecified, which connect(2) takes for loopback. */
static __always_inline bool addr_is_loopback(const struct weir_addr *addr)
{
	if (addr_is4(addr))
		return (addr->w[3] & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000) || addr->w[3] == 0;
	return addr->w[0] == 0 && addr->w[1] == 0 && addr->w[2] == 0 && (addr->w[3] == bpf_htonl(1) || addr->w[3] == 0);
}

static __always_inline bool pod_owns(const struct weir_pod *pod, const struct weir_addr *addr)
{
	return addr_equal(addr, &pod->ip4) || addr_equal(addr, &pod->ip6);
}

static __always_inline bool mark_is_agents(__u32 mark)
{
	return mark == WEIR_MARK_AGENT || mark == WEIR_MARK_DELIVER;
}

/* Ports of the agent that no pod has business with; 15008 is another mesh node's door. */
static __always_inline bool port_is_agents(__u16 port)
{
	return port == WEIR_PORT_OUTBOUND || port == WEIR_PORT_INBOUND || port == WEIR_PORT_DNS;
}

static __always_inline bool pod_has_port_rule(const struct weir_pod *pod, __u64 cookie, __u16 port, __u16 kind)
{
	struct weir_port_key key = {.cookie = cookie, .port = port, .kind = kind};

	return (pod->flags & WEIR_POD_PORT_RULES) && bpf_map_lookup_elem(&weir_ports, &key);
}

static __always_inline struct weir_control *control(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&weir_control, &zero);
}

static __always_inline bool agent_beats(void)
{
	struct weir_control *c = control();

	/* The difference is signed: a beat may be written after this program read the clock. */
	return c && c->beat_ns && (__s64)(bpf_ktime_get_ns() - c->beat_ns) < (__s64)weir_beat_limit_ns;
}

static __always_inline bool pod_may_join(const struct weir_pod *pod)
{
	struct weir_control *c;

	if (!(pod->flags & WEIR_POD_JOINED) || (pod->flags & WEIR_POD_OFF))
		return false;
	if (pod->flags & WEIR_POD_SELF_TEST)
		return true;
	c = control();
	return c && (c->flags & WEIR_CONTROL_JOINING);
}

static __always_inline void drop_count(__u32 pod, __u32 reason)
{
	struct weir_drop_key key = {.pod = pod, .reason = reason};
	__u64 one = 1, *count = bpf_map_lookup_elem(&weir_drops, &key);

	if (count)
		(*count)++;
	else if (bpf_map_update_elem(&weir_drops, &key, &one, BPF_NOEXIST) && (count = bpf_map_lookup_elem(&weir_drops, &key)))
		(*count)++;
}

/* A wake-up is an interrupt: it is sent by the one event that crosses the mark, not by all that follow until the reader comes. */
static __always_inline void event_send(struct weir_event *event)
{
	__u64 over = bpf_ringbuf_query(&weir_events, BPF_RB_AVAIL_DATA) - weir_events_wake;
	__u64 flags = over < sizeof(*event) + BPF_RINGBUF_HDR_SZ ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;

	if (bpf_ringbuf_output(&weir_events, event, sizeof(*event), flags))
		drop_count(0, WEIR_REASON_EVENT_LOST);
}

/* Rare, and the largest thing on any stack: a call of its own. */
static __noinline void drop_report(__u32 pod, __u32 reason, const struct weir_tuple *tuple)
{
	struct weir_event event = {.kind = WEIR_EVENT_DROP, .reason = reason, .tuple = *tuple};

	drop_count(pod, reason);
	event.flow.src_pod = pod;
	event.closed_ns = bpf_ktime_get_ns();
	event_send(&event);
}

#endif

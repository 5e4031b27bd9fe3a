/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * tcx (or clsact) on a pod's interfaces, inside its network namespace. Only a SYN is judged; whatever follows one belongs to a
 * connection that the kernel knows, or to none. So an established connection costs one look at its TCP flags a packet.
 *
 *   ingress   a SYN to 15008, from a kernel flow, to a probe port from the node, to an excluded port: as it is;
 *             one from a port that is in use here already: answered in the kernel's place (syn_meets)
 *             any other: to the listener on 15006, whatever its port
 *   egress    a SYN of the agent or of a kernel flow: as it is; any other went past connect(2)'s hook: dropped
 *
 * Headers are read relative to the network header, so devices without Ethernet headers work as well.
 */

#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86dd
#define ETH_HLEN 14
#define TC_NEXT -1
#define TC_DROP 2
#define IP_MF bpf_htons(0x2000)
#define IP_OFFSET bpf_htons(0x1fff)
#define NEXTHDR_HOP 0
#define NEXTHDR_ROUTING 43
#define NEXTHDR_FRAGMENT 44
#define NEXTHDR_AUTH 51
#define NEXTHDR_DEST 60
#define IP6_EXTENSIONS 6

#define TCP_HEADER_WORDS 5
#define TCP_MOST_WORDS 15
#define TCP_NOPS bpf_htonl(0x01010101)

/* In a copy of a SYN: it comes in behind the reset of its predecessor. */
#define TC_INDEX_BEHIND 0x539

#define FLAG_FIN bpf_htonl(0x00010000)
#define FLAG_SYN bpf_htonl(0x00020000)
#define FLAG_RST bpf_htonl(0x00040000)
#define FLAG_ACK bpf_htonl(0x00100000)

struct tcp_fields {
	__be16 source;
	__be16 dest;
	__be32 seq;
	__be32 ack;
	__be32 flags; /* offset, flags, window */
};

struct syn {
	struct weir_tuple tuple;
	struct tcp_fields tcp;
	__u32 tcp_offset; /* from the network header */
	bool v4;
};

enum packet {
	PACKET_OTHER, /* no business of ours */
	PACKET_SYN,
	PACKET_MALFORMED,
};

static __always_inline bool flags_open(__be32 flags)
{
	return (flags & (FLAG_SYN | FLAG_ACK | FLAG_RST)) == FLAG_SYN;
}

static __always_inline enum packet tcp_read(struct __sk_buff *skb, struct syn *syn, bool first_fragment)
{
	if (bpf_skb_load_bytes_relative(skb, syn->tcp_offset, &syn->tcp, sizeof(syn->tcp), BPF_HDR_START_NET))
		return PACKET_MALFORMED;
	if (!flags_open(syn->tcp.flags))
		return PACKET_OTHER;
	/* No stack fragments a SYN; one that is hides its flags. */
	if (first_fragment)
		return PACKET_MALFORMED;
	syn->tuple.sport = bpf_ntohs(syn->tcp.source);
	syn->tuple.dport = bpf_ntohs(syn->tcp.dest);
	return PACKET_SYN;
}

struct head4 {
	struct iphdr ip;
	struct tcp_fields tcp;
};

struct head6 {
	struct ipv6hdr ip;
	struct tcp_fields tcp;
};

/*
 * Nearly every packet is of an established connection and goes on after this: no call, no map, only bytes that lie in the packet's
 * first piece. False says nothing: then the packet is read with all care. What is true here must be PACKET_OTHER there.
 */
static __always_inline bool packet_goes_on(struct __sk_buff *skb)
{
	struct sk_buff *packet = bpf_cast_to_kern_ctx(skb);
	__u64 network = (__u64)packet->head + packet->network_header - (__u64)packet->data;
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;

	/* 14 behind an Ethernet header, 0 without one. */
	if (network > ETH_HLEN)
		return false;
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		struct head4 *head = data + network;

		if ((void *)(head + 1) > end)
			return false;
		return head->ip.protocol != IPPROTO_TCP ||
		       (head->ip.ihl == 5 && !(head->ip.frag_off & (IP_MF | IP_OFFSET)) && !flags_open(head->tcp.flags));
	}
	if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		struct head6 *head = data + network;

		if ((void *)(head + 1) > end)
			return false;
		return head->ip.nexthdr == IPPROTO_UDP || (head->ip.nexthdr == IPPROTO_TCP && !flags_open(head->tcp.flags));
	}
	return true;
}

static __always_inline enum packet packet_read4(struct __sk_buff *skb, struct syn *syn)
{
	struct head4 head;

	if (bpf_skb_load_bytes_relative(skb, 0, &head, sizeof(head), BPF_HDR_START_NET)) {
		if (bpf_skb_load_bytes_relative(skb, 0, &head.ip, sizeof(head.ip), BPF_HDR_START_NET))
			return PACKET_OTHER;
		return head.ip.protocol == IPPROTO_TCP && !(head.ip.frag_off & IP_OFFSET) ? PACKET_MALFORMED : PACKET_OTHER;
	}
	if (head.ip.protocol != IPPROTO_TCP)
		return PACKET_OTHER;
	if (head.ip.ihl == 5 && !(head.ip.frag_off & (IP_MF | IP_OFFSET)) && !flags_open(head.tcp.flags))
		return PACKET_OTHER;
	if (head.ip.frag_off & IP_OFFSET) {
		/* An offset of 8 bytes would overwrite the flags that the first fragment was judged by (RFC 1858). */
		return (head.ip.frag_off & IP_OFFSET) == bpf_htons(1) ? PACKET_MALFORMED : PACKET_OTHER;
	}
	addr_from4(&syn->tuple.saddr, head.ip.saddr);
	addr_from4(&syn->tuple.daddr, head.ip.daddr);
	syn->tcp_offset = head.ip.ihl * 4;
	syn->v4 = true;
	return tcp_read(skb, syn, head.ip.frag_off & IP_MF);
}

static __always_inline enum packet packet_read6(struct __sk_buff *skb, struct syn *syn)
{
	struct head6 head;
	bool first_fragment = false;
	__u32 offset = sizeof(head.ip);
	__u8 next;

	if (bpf_skb_load_bytes_relative(skb, 0, &head, sizeof(head), BPF_HDR_START_NET)) {
		if (bpf_skb_load_bytes_relative(skb, 0, &head.ip, sizeof(head.ip), BPF_HDR_START_NET))
			return PACKET_OTHER;
		return head.ip.nexthdr == IPPROTO_TCP ? PACKET_MALFORMED : PACKET_OTHER;
	}
	next = head.ip.nexthdr;
	if (next == IPPROTO_TCP && !flags_open(head.tcp.flags))
		return PACKET_OTHER;
	for (int i = 0; i < IP6_EXTENSIONS && next != IPPROTO_TCP; i++) {
		struct {
			__u8 next;
			__u8 length;
			__be16 fragment;
		} extension;

		if (next != NEXTHDR_HOP && next != NEXTHDR_ROUTING && next != NEXTHDR_FRAGMENT && next != NEXTHDR_AUTH &&
		    next != NEXTHDR_DEST)
			return PACKET_OTHER;
		if (bpf_skb_load_bytes_relative(skb, offset, &extension, sizeof(extension), BPF_HDR_START_NET))
			return PACKET_OTHER;
		if (next == NEXTHDR_FRAGMENT) {
			/* Overlapping fragments are dropped by the kernel (RFC 5722), so a later one cannot change the flags. */
			if (extension.fragment & bpf_htons(0xfff8))
				return PACKET_OTHER;
			first_fragment = extension.fragment & bpf_htons(1);
			offset += 8;
		} else if (next == NEXTHDR_AUTH) {
			offset += (extension.length + 2) * 4;
		} else {
			offset += (extension.length + 1) * 8;
		}
		next = extension.next;
	}
	if (next != IPPROTO_TCP)
		return PACKET_MALFORMED;
	__builtin_memcpy(&syn->tuple.saddr, &head.ip.saddr, sizeof(syn->tuple.saddr));
	__builtin_memcpy(&syn->tuple.daddr, &head.ip.daddr, sizeof(syn->tuple.daddr));
	syn->tcp_offset = offset;
	return tcp_read(skb, syn, first_fragment);
}

static __always_inline enum packet packet_read(struct __sk_buff *skb, struct syn *syn)
{
	if (skb->protocol == bpf_htons(ETH_P_IP))
		return packet_read4(skb, syn);
	if (skb->protocol == bpf_htons(ETH_P_IPV6))
		return packet_read6(skb, syn);
	return PACKET_OTHER;
}

/*
 * The pod whose interface this is. bpf_get_netns_cookie, which tc has since 6.15, answers for the packet's socket, and a packet that
 * came over a veth still carries its sender's: at ingress that is the other pod. So the device's namespace is asked. An address would
 * not do: a pod may have more of them than anybody was told, and IPv6 gives each interface one that is only seen on the link.
 */
static __always_inline struct weir_pod *pod_here(struct __sk_buff *skb, __u64 *cookie)
{
	struct sk_buff *packet = bpf_cast_to_kern_ctx(skb);

	*cookie = packet->dev->nd_net.net->net_cookie;
	return bpf_map_lookup_elem(&weir_pods, cookie);
}

/*
 * Only where the network header follows an Ethernet one can it be written to; there the TCP header is at the offset that is given.
 */
static __always_inline bool tcp_writable(struct __sk_buff *skb, const struct syn *syn, __u32 *tcp)
{
	__u8 by_net[20], by_mac[20];

	if (bpf_skb_load_bytes(skb, ETH_HLEN, by_mac, sizeof(by_mac)) ||
	    bpf_skb_load_bytes_relative(skb, 0, by_net, sizeof(by_net), BPF_HDR_START_NET))
		return false;
	for (int i = 0; i < 20; i++)
		if (by_mac[i] != by_net[i])
			return false;
	*tcp = ETH_HLEN + syn->tcp_offset;
	return true;
}

static __always_inline bool tcp_write(struct __sk_buff *skb, const struct syn *syn, __u32 tcp, __be32 seq, __be32 ack, __be32 flags)
{
	__be32 words[3] = {seq, ack, flags};
	__u32 check = tcp + 16;

	return !bpf_l4_csum_replace(skb, check, syn->tcp.seq, seq, 4) && !bpf_l4_csum_replace(skb, check, syn->tcp.ack, ack, 4) &&
	       !bpf_l4_csum_replace(skb, check, syn->tcp.flags, flags, 4) && !bpf_skb_store_bytes(skb, tcp + 4, words, sizeof(words), 0);
}

static __always_inline __u32 tcp_words(const struct syn *syn)
{
	return bpf_ntohl(syn->tcp.flags) >> 28;
}

/* The options are the caller's own word, its clock among them, which it must not be told for the other side's. */
static __always_inline bool tcp_blank_options(struct __sk_buff *skb, const struct syn *syn, __u32 tcp)
{
	__be32 nops = TCP_NOPS, word;

	for (__u32 i = TCP_HEADER_WORDS; i < TCP_MOST_WORDS && i < tcp_words(syn); i++)
		if (bpf_skb_load_bytes(skb, tcp + i * 4, &word, sizeof(word)) || bpf_l4_csum_replace(skb, tcp + 16, word, nops, 4) ||
		    bpf_skb_store_bytes(skb, tcp + i * 4, &nops, sizeof(nops), 0))
			return false;
	return true;
}

/* Turns the SYN into what answers it: the length does not change, and the checksum needs only what differs. */
static __always_inline int syn_answer(struct __sk_buff *skb, const struct syn *syn, __be32 seq, __be32 ack, __be32 flags)
{
	__be16 ports[2] = {syn->tcp.dest, syn->tcp.source};
	__u8 macs[12], swapped[12];
	__u32 tcp;

	if (!tcp_writable(skb, syn, &tcp) || bpf_skb_load_bytes(skb, 0, macs, sizeof(macs)))
		return TC_DROP;
	__builtin_memcpy(swapped, macs + 6, 6);
	__builtin_memcpy(swapped + 6, macs, 6);
	if (bpf_skb_store_bytes(skb, 0, swapped, sizeof(swapped), 0))
		return TC_DROP;
	if (syn->v4) {
		__be32 addrs[2] = {syn->tuple.daddr.w[3], syn->tuple.saddr.w[3]};

		if (bpf_skb_store_bytes(skb, ETH_HLEN + 12, addrs, sizeof(addrs), 0))
			return TC_DROP;
	} else {
		struct weir_addr addrs[2] = {syn->tuple.daddr, syn->tuple.saddr};

		if (bpf_skb_store_bytes(skb, ETH_HLEN + 8, addrs, sizeof(addrs), 0))
			return TC_DROP;
	}
	flags |= syn->tcp.flags & bpf_htonl(0xf0000000);
	if (!tcp_blank_options(skb, syn, tcp) || !tcp_write(skb, syn, tcp, seq, ack, flags) ||
	    bpf_skb_store_bytes(skb, tcp, ports, sizeof(ports), 0))
		return TC_DROP;
	return bpf_redirect(skb->ifindex, 0);
}

static __always_inline int syn_refuse(struct __sk_buff *skb, const struct syn *syn)
{
	return syn_answer(skb, syn, 0, bpf_htonl(bpf_ntohl(syn->tcp.seq) + 1), FLAG_RST | FLAG_ACK);
}

/* The only place where ingress decides between open and closed when the agent is not there. */
static __always_inline int syn_without_agent(struct __sk_buff *skb, const struct syn *syn, const struct weir_pod *pod, __u32 reason)
{
	if (pod->flags & WEIR_POD_LOSS_OPEN)
		return TC_NEXT;
	drop_report(pod->pod, reason, &syn->tuple);
	return syn_refuse(skb, syn);
}

static __always_inline struct bpf_sock *sock_find(struct __sk_buff *skb, const struct syn *syn, __be16 sport, __be16 dport)
{
	struct bpf_sock_tuple tuple = {};
	__u32 size;

	if (syn->v4) {
		tuple.ipv4.saddr = syn->tuple.saddr.w[3];
		tuple.ipv4.daddr = syn->tuple.daddr.w[3];
		tuple.ipv4.sport = sport;
		tuple.ipv4.dport = dport;
		size = sizeof(tuple.ipv4);
	} else {
		__builtin_memcpy(tuple.ipv6.saddr, &syn->tuple.saddr, sizeof(tuple.ipv6.saddr));
		__builtin_memcpy(tuple.ipv6.daddr, &syn->tuple.daddr, sizeof(tuple.ipv6.daddr));
		tuple.ipv6.sport = sport;
		tuple.ipv6.dport = dport;
		size = sizeof(tuple.ipv6);
	}
	return bpf_skc_lookup_tcp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0);
}

/*
 * Ends what rests by a reset in its peer's name (TIME-WAIT assassination, RFC 1337), as TPROXY does (nf_tproxy_handle_time_wait4), and
 * lets a copy of the SYN come in behind. The options become bytes that nobody reads, so no timestamp spares what rests. Where the kernel
 * does not believe the reset (net.ipv4.tcp_rfc1337), the copy is known by its tc_index and makes no other: it is dropped.
 */
static __always_inline int syn_reopen(struct __sk_buff *skb, const struct syn *syn, __be32 expected)
{
	__be32 flags = FLAG_RST | bpf_htonl(TCP_HEADER_WORDS << 28);
	__u32 tcp;

	if (skb->tc_index == TC_INDEX_BEHIND || !tcp_writable(skb, syn, &tcp))
		return TC_DROP;
	skb->tc_index = TC_INDEX_BEHIND;
	if (bpf_clone_redirect(skb, skb->ifindex, BPF_F_INGRESS) || !tcp_write(skb, syn, tcp, expected, 0, flags))
		return TC_DROP;
	return TC_NEXT;
}

static __always_inline bool syn_is_bare(struct __sk_buff *skb, const struct syn *syn)
{
	return skb->len <= ETH_HLEN + syn->tcp_offset + 4 * tcp_words(syn);
}

/*
 * A client may call from a port that it has called from before. On its own way to a listener the kernel lets a SYN open anew what is in
 * TIME-WAIT (RFC 6191), and asks by an acknowledgment where the old connection still stands for it (RFC 5961 4.2: its client, which
 * knows of none, resets it and comes again). A SYN that is assigned to a listener goes past both, and then is dropped without a word for as
 * long as its predecessor is there (inet_ehash_insert). So both are done here.
 */
static __always_inline bool syn_meets(struct __sk_buff *skb, const struct syn *syn, const struct weir_pod *pod, int *verdict)
{
	struct bpf_sock *sk = sock_find(skb, syn, syn->tcp.source, syn->tcp.dest), *full;
	struct tcp_timewait_sock *resting;
	struct bpf_tcp_sock *tcp;
	__be32 seq, expected;
	bool delivery;

	if (!sk)
		return false;
	resting = bpf_skc_to_tcp_timewait_sock(sk);
	if (resting) {
		expected = bpf_htonl(resting->tw_sk.__tw_common.skc_tw_rcv_nxt);
		bpf_sk_release(sk);
		*verdict = syn_reopen(skb, syn, expected);
		return true;
	}
	full = bpf_sk_fullsock(sk);
	tcp = bpf_tcp_sock(sk);
	if (!full || !tcp || full->state == TCP_LISTEN) {
		/* The server's own listener; or this very connection is being made, and the kernel repeats its answer. */
		bpf_sk_release(sk);
		return false;
	}
	/* What the server accepts has the mark of the SYN (tcp_fwmark_accept). */
	delivery = full->mark == WEIR_MARK_DELIVER;
	seq = bpf_htonl(tcp->snd_nxt);
	expected = bpf_htonl(tcp->rcv_nxt);
	bpf_sk_release(sk);
	if (delivery) {
		/* Another connection of this client: to ask would have it reset. The SYN comes again. */
		drop_report(pod->pod, WEIR_REASON_PORT_TAKEN, &syn->tuple);
		*verdict = TC_DROP;
		return true;
	}
	/* What a SYN may carry as data, the answer would say back. */
	*verdict = syn_is_bare(skb, syn) ? syn_answer(skb, syn, seq, expected, FLAG_ACK) : TC_DROP;
	return true;
}

static __always_inline int syn_to_agent(struct __sk_buff *skb, const struct syn *syn, const struct weir_pod *pod)
{
	struct bpf_sock *sk;
	int verdict;
	long failed;

	if (!agent_beats())
		return syn_without_agent(skb, syn, pod, WEIR_REASON_NO_AGENT);
	if (syn_meets(skb, syn, pod, &verdict))
		return verdict;
	/* Source port 0 matches no connection, so what is found is the listener. */
	sk = sock_find(skb, syn, 0, bpf_htons(WEIR_PORT_INBOUND));
	if (!sk)
		return syn_without_agent(skb, syn, pod, WEIR_REASON_NO_AGENT);
	if (sk->state != TCP_LISTEN) {
		bpf_sk_release(sk);
		return syn_without_agent(skb, syn, pod, WEIR_REASON_NO_AGENT);
	}
	failed = bpf_sk_assign(skb, sk, 0);
	bpf_sk_release(sk);
	return failed ? syn_without_agent(skb, syn, pod, WEIR_REASON_ASSIGN_FAILED) : TC_NEXT;
}

SEC("tc")
int weir_ingress(struct __sk_buff *skb)
{
	struct weir_address *address;
	struct weir_flow *flow;
	struct weir_pod *pod;
	enum packet packet;
	struct syn syn;
	__u64 cookie;

	if (packet_goes_on(skb))
		return TC_NEXT;
	__builtin_memset(&syn, 0, sizeof(syn));
	packet = packet_read(skb, &syn);
	if (packet == PACKET_OTHER)
		return TC_NEXT;
	pod = pod_here(skb, &cookie);
	if (!pod)
		return TC_NEXT;
	if (packet == PACKET_MALFORMED) {
		drop_report(pod->pod, WEIR_REASON_MALFORMED, &syn.tuple);
		return TC_DROP;
	}
	if (syn.tuple.dport == WEIR_PORT_HBONE)
		return TC_NEXT;
	if (port_is_agents(syn.tuple.dport)) {
		drop_report(pod->pod, WEIR_REASON_SELF_PORT, &syn.tuple);
		return syn_refuse(skb, &syn);
	}
	flow = bpf_map_lookup_elem(&weir_flows, &syn.tuple);
	/* A client's exclusion is no permission of this pod's. */
	if (flow && flow->dst_pod == pod->pod && (flow->path == WEIR_PATH_DIRECT || flow->path == WEIR_PATH_JOINED))
		return TC_NEXT;
	if (pod_has_port_rule(pod, cookie, syn.tuple.dport, WEIR_PORT_EXCLUDE_INBOUND))
		return TC_NEXT;
	if (pod_has_port_rule(pod, cookie, syn.tuple.dport, WEIR_PORT_PROBE)) {
		address = bpf_map_lookup_elem(&weir_addresses, &syn.tuple.saddr);
		if (address && (address->flags & WEIR_ADDRESS_NODE))
			return TC_NEXT;
	}
	return syn_to_agent(skb, &syn, pod);
}

SEC("tc")
int weir_egress(struct __sk_buff *skb)
{
	struct weir_pod *pod;
	enum packet packet;
	struct syn syn;
	__u64 cookie;

	if (packet_goes_on(skb))
		return TC_NEXT;
	__builtin_memset(&syn, 0, sizeof(syn));
	packet = packet_read(skb, &syn);
	if (packet == PACKET_OTHER || mark_is_agents(skb->mark))
		return TC_NEXT;
	pod = pod_here(skb, &cookie);
	if (!pod)
		return TC_NEXT;
	if (packet == PACKET_MALFORMED) {
		drop_report(pod->pod, WEIR_REASON_MALFORMED, &syn.tuple);
		return TC_DROP;
	}
	if (bpf_map_lookup_elem(&weir_flows, &syn.tuple))
		return TC_NEXT;
	drop_report(pod->pod, WEIR_REASON_ESCAPE, &syn.tuple);
	return TC_DROP;
}

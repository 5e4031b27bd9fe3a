/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * tcx (or clsact) on a pod's interfaces, inside its network namespace. Only a SYN is judged; whatever follows one belongs to a
 * connection that the kernel knows, or to none. So an established connection costs one look at its TCP flags a packet.
 *
 *   ingress   a SYN to 15008, from a kernel flow, to a probe port from the node, to an excluded port: as it is;
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

#define TCP_FLAGS_WORD 12
#define FLAG_FIN bpf_htonl(0x00010000)
#define FLAG_SYN bpf_htonl(0x00020000)
#define FLAG_RST bpf_htonl(0x00040000)
#define FLAG_ACK bpf_htonl(0x00100000)

struct tcp_words {
	__be16 source;
	__be16 dest;
	__be32 seq;
	__be32 ack;
	__be32 flags; /* offset, flags, window */
};

struct syn {
	struct weir_tuple tuple;
	struct tcp_words tcp;
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
	struct tcp_words tcp;
};

struct head6 {
	struct ipv6hdr ip;
	struct tcp_words tcp;
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

/* Turns the SYN into the reset that answers it. Its TCP options stay where they are: a receiver ignores a reset's options, the
 * length does not change, and the checksum needs only what differs. */
static __always_inline int syn_refuse(struct __sk_buff *skb, const struct syn *syn)
{
	__be32 ack = bpf_htonl(bpf_ntohl(syn->tcp.seq) + 1);
	__be32 flags = (syn->tcp.flags & bpf_htonl(0xf0000000)) | FLAG_RST | FLAG_ACK;
	__u32 net = ETH_HLEN, tcp = net + syn->tcp_offset, check = tcp + 16;
	__u8 macs[12], swapped[12], by_net[20], by_mac[20];
	__be16 ports[2] = {syn->tcp.dest, syn->tcp.source};
	__be32 zero = 0;

	/* Only where the network header follows an Ethernet one can it be written to. */
	if (bpf_skb_load_bytes(skb, net, by_mac, sizeof(by_mac)) ||
	    bpf_skb_load_bytes_relative(skb, 0, by_net, sizeof(by_net), BPF_HDR_START_NET) || bpf_skb_load_bytes(skb, 0, macs, sizeof(macs)))
		return TC_DROP;
	for (int i = 0; i < 20; i++)
		if (by_mac[i] != by_net[i])
			return TC_DROP;
	__builtin_memcpy(swapped, macs + 6, 6);
	__builtin_memcpy(swapped + 6, macs, 6);
	if (bpf_skb_store_bytes(skb, 0, swapped, sizeof(swapped), 0))
		return TC_DROP;
	if (syn->v4) {
		__be32 addrs[2] = {syn->tuple.daddr.w[3], syn->tuple.saddr.w[3]};

		if (bpf_skb_store_bytes(skb, net + 12, addrs, sizeof(addrs), 0))
			return TC_DROP;
	} else {
		struct weir_addr addrs[2] = {syn->tuple.daddr, syn->tuple.saddr};

		if (bpf_skb_store_bytes(skb, net + 8, addrs, sizeof(addrs), 0))
			return TC_DROP;
	}
	if (bpf_l4_csum_replace(skb, check, syn->tcp.seq, zero, 4) || bpf_l4_csum_replace(skb, check, syn->tcp.ack, ack, 4) ||
	    bpf_l4_csum_replace(skb, check, syn->tcp.flags, flags, 4) || bpf_skb_store_bytes(skb, tcp, ports, sizeof(ports), 0) ||
	    bpf_skb_store_bytes(skb, tcp + 4, &zero, 4, 0) || bpf_skb_store_bytes(skb, tcp + 8, &ack, 4, 0) ||
	    bpf_skb_store_bytes(skb, tcp + TCP_FLAGS_WORD, &flags, 4, 0))
		return TC_DROP;
	return bpf_redirect(skb->ifindex, 0);
}

/* The only place where ingress decides between open and closed when the agent is not there. */
static __always_inline int syn_without_agent(struct __sk_buff *skb, const struct syn *syn, const struct weir_pod *pod, __u32 reason)
{
	if (pod->flags & WEIR_POD_LOSS_OPEN)
		return TC_NEXT;
	drop_report(pod->pod, reason, &syn->tuple);
	return syn_refuse(skb, syn);
}

static __always_inline int syn_to_agent(struct __sk_buff *skb, const struct syn *syn, const struct weir_pod *pod)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *sk;
	__u32 size;
	long failed;

	if (!agent_beats())
		return syn_without_agent(skb, syn, pod, WEIR_REASON_NO_AGENT);
	/* Source port 0 matches no connection, so what is found is the listener. */
	if (syn->v4) {
		tuple.ipv4.saddr = syn->tuple.saddr.w[3];
		tuple.ipv4.daddr = syn->tuple.daddr.w[3];
		tuple.ipv4.dport = bpf_htons(WEIR_PORT_INBOUND);
		size = sizeof(tuple.ipv4);
	} else {
		__builtin_memcpy(tuple.ipv6.saddr, &syn->tuple.saddr, sizeof(tuple.ipv6.saddr));
		__builtin_memcpy(tuple.ipv6.daddr, &syn->tuple.daddr, sizeof(tuple.ipv6.daddr));
		tuple.ipv6.dport = bpf_htons(WEIR_PORT_INBOUND);
		size = sizeof(tuple.ipv6);
	}
	sk = bpf_skc_lookup_tcp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0);
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

/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * What the programs and the agent share: names, layouts, numbers. The Java side (dev.weir.bpf.Layouts) is held against this
 * header's BTF by a test, so a field moves in both or in neither.
 *
 * Conventions. An address is 16 bytes in network order, an IPv4 one as ::ffff:a.b.c.d, so one map serves both families and the
 * v4-mapped sockets of Java and Go need no second look. Ports are in HOST order. A pod is known to programs by the cookie of
 * its network namespace; a number (`pod`) stands for it in other maps and is never given to a second pod while maps live.
 */
#ifndef WEIR_H
#define WEIR_H

#define WEIR_PORT_OUTBOUND 15001
#define WEIR_PORT_INBOUND 15006
#define WEIR_PORT_HBONE 15008
#define WEIR_PORT_DNS 15053

/* SO_MARK of the agent's sockets: never captured. */
#define WEIR_MARK_AGENT 0x539
/* SO_MARK of the agent's sockets that deliver into a pod with the client's address: the app's replies inherit it
 * (tcp_fwmark_accept) and a rule sends them back to the agent over lo. */
#define WEIR_MARK_DELIVER 0x53a

#define WEIR_MAX_PODS 1024
#define WEIR_MAX_ADDRESSES 4096
#define WEIR_MAX_SERVICES 65536
#define WEIR_MAX_ENDPOINTS 262144
#define WEIR_MAX_VERDICTS 65536
#define WEIR_MAX_FLOWS 65536
#define WEIR_MAX_ORIGINALS 16384
#define WEIR_MAX_JOINS 65536
#define WEIR_MAX_MEETINGS 16384
#define WEIR_MAX_PORTS 65536
#define WEIR_MAX_CIDRS 16384
#define WEIR_EVENTS_BYTES (1 << 20)

struct weir_addr {
	__u32 w[4];
};

/* Map weir_pods, HASH: netns cookie (__u64) -> weir_pod. An entry is enrolment. */
enum weir_pod_flag {
	WEIR_POD_JOINED = 1 << 0,    /* consents to joining */
	WEIR_POD_OFF = 1 << 1,       /* fast-path: off, always through the agent */
	WEIR_POD_LOSS_OPEN = 1 << 2, /* on-agent-loss: open */
	WEIR_POD_DNS = 1 << 3,       /* port 53 goes to the agent */
	WEIR_POD_PORT_RULES = 1 << 4, /* weir_ports has entries for it */
	WEIR_POD_CIDR_RULES = 1 << 5, /* weir_cidrs has entries for it */
	WEIR_POD_SELF_TEST = 1 << 6, /* of the self-test: joins though WEIR_CONTROL_JOINING is not set */
};
struct weir_pod {
	__u32 pod;
	__u32 identity; /* number of its SPIFFE identity */
	__u32 flags;
	__u32 reserved;
	struct weir_addr ip4; /* zero where it has none */
	struct weir_addr ip6;
};

/* Map weir_addresses, HASH: weir_addr -> weir_address. Addresses of this node: enrolled pods, and the node's own (probes). */
enum weir_address_flag {
	WEIR_ADDRESS_POD = 1 << 0,  /* an enrolled pod of this node */
	WEIR_ADDRESS_NODE = 1 << 1, /* the node itself: where kubelet probes come from */
};
struct weir_address {
	__u64 cookie; /* of the pod, 0 for the node */
	__u32 pod;
	__u32 flags;
};

/* Map weir_services, HASH: a Service address. Map weir_endpoints, HASH: its endpoints as Vose alias slots.
 * Writers put a whole new generation of slots first, then swap the service's value, then delete the old generation. */
enum weir_service_flag {
	WEIR_SERVICE_AGENT = 1 << 0, /* the agent must decide (layer 7, or an algorithm the kernel has not): keep the Service address */
};
struct weir_service_key {
	struct weir_addr addr;
	__u16 port;
	__u16 proto; /* IPPROTO_TCP */
};
struct weir_service {
	__u32 id;
	__u32 generation;
	__u32 count; /* 0: refuse, no endpoint */
	__u32 flags;
};
struct weir_endpoint_key {
	__u32 service;
	__u32 generation;
	__u32 slot;
};
struct weir_endpoint {
	struct weir_addr addr;
	__u16 port;
	__u16 threshold; /* random 16 bits below this (or 65535): this slot, else `alias` */
	__u32 alias;
};

/* Map weir_verdicts, HASH: decisions the agent has made. An entry means: connect directly, authorised. */
struct weir_verdict_key {
	__u32 identity; /* of the source */
	__u32 pod;      /* destination pod of this node */
	__u16 port;     /* destination's real port */
	__u16 reserved;
};
struct weir_verdict {
	__u32 flags; /* WEIR_VERDICT_JOINED: join where both consent */
	__u32 generation;
};
enum weir_verdict_flag {
	WEIR_VERDICT_JOINED = 1 << 0,
};

/* Map weir_originals, LRU_HASH: what a captured connection asked for; published when the client is ESTABLISHED, which is
 * before the agent can accept it. Read and deleted by the agent. */
struct weir_original_key {
	__u64 cookie; /* netns of the client */
	__u16 port;   /* its local port */
	__u16 family; /* AF_INET where it called 127.0.0.1 (v4-mapped too), AF_INET6 for ::1 */
	__u32 from;   /* the end of its own address, network order; 0 for 127.0.0.1 and ::1, which is all that have not bound another */
};
struct weir_original {
	struct weir_addr asked;  /* what the application named */
	struct weir_addr picked; /* the endpoint the kernel picked, or the same as asked */
	__u16 asked_port;
	__u16 picked_port;
	__u32 service; /* id, 0 where asked is no Service */
	__u32 pod;     /* the client's */
	__u32 reserved;
};

/* Map weir_flows, LRU_HASH: connections that stay in the kernel, seen from the client. Inserted before the SYN leaves. The
 * destination's ingress lets a SYN pass that stands here, so a forged source address gains nothing. */
enum weir_path {
	WEIR_PATH_AGENT = 0, /* captured: not in weir_flows, only in weir_sockets */
	WEIR_PATH_DIRECT = 1,
	WEIR_PATH_JOINED = 2,
	WEIR_PATH_EXCLUDED = 3, /* by annotation: not ours, let pass */
	WEIR_PATH_OPEN = 4,     /* no agent alive and the pod asked for open */
	WEIR_PATH_LOCAL = 5,    /* to itself by its own Service: stays on lo; only in weir_sockets */
	WEIR_PATH_DNS = 6,      /* to the DNS listener: needs no original; only in weir_sockets */
};
struct weir_tuple {
	struct weir_addr saddr; /* client */
	struct weir_addr daddr; /* server, real address */
	__u16 sport;
	__u16 dport;
	__u32 scope; /* 0; low half of the netns cookie where both ends are loopback */
};
struct weir_flow {
	__u64 cookie; /* of the client's netns */
	__u64 opened_ns;
	__u64 established_ns; /* 0 before */
	__u64 joined_tx;      /* client to server by sk_msg, not in tcp_info */
	__u64 joined_rx;
	struct weir_addr asked;
	__u16 asked_port;
	__u8 path; /* weir_path */
	__u8 reserved;
	__u32 service;
	__u32 src_pod;
	__u32 dst_pod; /* 0: not an enrolled pod of this node */
};

/* Map weir_ports, HASH: port rules of a pod. Map weir_cidrs, LPM_TRIE: destinations of a pod that are not captured. */
enum weir_port_kind {
	WEIR_PORT_EXCLUDE_INBOUND = 1,
	WEIR_PORT_EXCLUDE_OUTBOUND = 2,
	WEIR_PORT_PROBE = 3, /* the node may reach it without the agent */
};
struct weir_port_key {
	__u64 cookie;
	__u16 port;
	__u16 kind;
	__u32 reserved;
};
struct weir_cidr_key {
	__u32 prefixlen; /* 64 + that of the mapped address */
	__u32 cookie[2]; /* as two words so that nothing is padded: high, low, big endian */
	struct weir_addr addr;
};

/* Map weir_control, ARRAY[1], mmapable: agents write, programs read the first two fields. */
enum weir_control_flag {
	WEIR_CONTROL_JOINING = 1 << 0, /* the self-test passed on this kernel */
};
struct weir_control {
	__u64 beat_ns; /* CLOCK_MONOTONIC of the last sign of life, 0: none yet */
	__u32 flags;
	__u32 agent;        /* number of the agent in charge, the one that beats */
	__u64 next_beat_ns; /* the same of an agent that starts beside it */
	__u32 next;         /* that agent's number, 0: none */
	__u32 next_asks;    /* 1: it serves all pods and asks for the charge */
};

/* Map weir_drops, PERCPU_HASH: {pod, reason} -> __u64. Pod 0: not attributable. */
enum weir_reason {
	WEIR_REASON_NONE = 0,
	WEIR_REASON_NO_AGENT = 1,       /* no agent alive, pod is closed */
	WEIR_REASON_NO_ENDPOINT = 2,    /* the Service has none ready */
	WEIR_REASON_ESCAPE = 3,         /* enrolled TCP left the pod past the hooks */
	WEIR_REASON_ORIGINAL_LOST = 4,  /* the original destination was evicted before it was read */
	WEIR_REASON_ASSIGN_FAILED = 5,  /* bpf_sk_assign refused */
	WEIR_REASON_MAP_FULL = 6,       /* a flow could not be recorded */
	WEIR_REASON_MALFORMED = 7,      /* a packet too short to judge */
	WEIR_REASON_SELF_PORT = 8,      /* a pod called a port of the agent */
	WEIR_REASON_DNS_NO_AGENT = 9,
	WEIR_REASON_EVENT_LOST = 10, /* weir_events was full: an event, not a connection, was lost */
	WEIR_REASON_PORT_TAKEN = 11, /* a client outside calls from the port of a delivery to the same server */
	WEIR_REASON_MAX
};
struct weir_drop_key {
	__u32 pod;
	__u32 reason;
};

/* Map weir_events, RINGBUF. */
enum weir_event_kind {
	/* There is none for ESTABLISHED: weir_flows tells what is open, and one event a short connection is half of two. */
	WEIR_EVENT_FLOW_CLOSED = 2,
	WEIR_EVENT_FLOW_FAILED = 3, /* SYN sent, never established */
	WEIR_EVENT_DROP = 4,
};
struct weir_event {
	__u32 kind;
	__u32 reason; /* of a drop */
	struct weir_tuple tuple;
	struct weir_flow flow;
	__u64 bytes_sent; /* by the client, joined bytes included */
	__u64 bytes_received;
	__u32 srtt_us;
	__u32 retransmits;
	__u64 closed_ns;
};

/* Map weir_sockets, SK_STORAGE: a captured or directed client socket. */
struct weir_socket {
	struct weir_addr asked;
	struct weir_addr picked;
	__u16 asked_port;
	__u16 picked_port;
	__u32 service;
	__u32 src_pod;
	__u32 dst_pod;
	__u32 path; /* weir_path; WEIR_PATH_AGENT: goes to the agent */
};

/* Map weir_joins, SK_STORAGE: a joined socket as a sender. Its receiver is known by cookie (the key of weir_joinable) and by
 * the address of its tcp_sock, which is only read, by probe, and only believed when the cookie still stands in the map. */
struct weir_join {
	__u64 peer_cookie; /* 0: not met yet */
	__u64 peer;
	struct weir_tuple toward; /* key under which the receiver announces itself in weir_meetings */
	__u32 spilled;            /* bytes go by TCP until TCP is read empty */
	__u32 counted;            /* 0: not a flow of weir_flows, 1: the client's side, 2: the server's */
};

/* Map weir_meetings, LRU_HASH: weir_tuple as the sender sees itself -> weir_meeting. How two ends find each other. */
struct weir_meeting {
	__u64 cookie;
	__u64 sock;
};

#endif

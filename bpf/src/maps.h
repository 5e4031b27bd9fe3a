/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Every map, and the knobs that are set before load. Layouts are in weir.h. */
#ifndef WEIR_MAPS_H
#define WEIR_MAPS_H

/* The agent beats four times a second; none for three seconds is no agent. */
const volatile __u64 weir_beat_limit_ns = 3000000000ULL;
/* SO_RCVBUF and SO_SNDBUF (the kernel doubles them) of joined sockets whose program set none. A large receive buffer is a long run
 * before a spill, a small send buffer and window a short one by TCP after it. */
const volatile __u32 weir_joined_rcvbuf = 1 << 20;
const volatile __u32 weir_joined_sndbuf = 1 << 17;
/* What TCP may have under way toward such a socket. */
const volatile __u32 weir_joined_window = 1 << 16;
/* How often a writer looks for what a reader on another core is about to do: some 10 us at most. And from which size of a message on
 * it looks whether TCP gets empty: a short one goes by TCP in less time. */
const volatile __u32 weir_joined_looks = 2000;
const volatile __u32 weir_joined_worth = 1 << 14;
/* Events are handed over when so many bytes wait; the agent also looks by itself. Waking it for each costs a busy node 3 %. */
const volatile __u32 weir_events_wake = 1 << 15;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, WEIR_MAX_PODS);
	__type(key, __u64);
	__type(value, struct weir_pod);
} weir_pods SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, WEIR_MAX_ADDRESSES);
	__type(key, struct weir_addr);
	__type(value, struct weir_address);
} weir_addresses SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, WEIR_MAX_SERVICES);
	__type(key, struct weir_service_key);
	__type(value, struct weir_service);
} weir_services SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, WEIR_MAX_ENDPOINTS);
	__type(key, struct weir_endpoint_key);
	__type(value, struct weir_endpoint);
} weir_endpoints SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, WEIR_MAX_VERDICTS);
	__type(key, struct weir_verdict_key);
	__type(value, struct weir_verdict);
} weir_verdicts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, WEIR_MAX_ORIGINALS);
	__type(key, struct weir_original_key);
	__type(value, struct weir_original);
} weir_originals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, WEIR_MAX_FLOWS);
	__type(key, struct weir_tuple);
	__type(value, struct weir_flow);
} weir_flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, WEIR_MAX_PORTS);
	__type(key, struct weir_port_key);
	__type(value, __u8);
} weir_ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, WEIR_MAX_CIDRS);
	__type(key, struct weir_cidr_key);
	__type(value, __u8);
} weir_cidrs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_control);
} weir_control SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, WEIR_MAX_PODS * 8);
	__type(key, struct weir_drop_key);
	__type(value, __u64);
} weir_drops SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, WEIR_EVENTS_BYTES);
} weir_events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct weir_socket);
} weir_sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct weir_join);
} weir_joins SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, WEIR_MAX_MEETINGS);
	__type(key, struct weir_tuple);
	__type(value, struct weir_meeting);
} weir_meetings SEC(".maps");

/* Socket cookie -> the socket that bytes can be put into. The kernel takes a socket out as it closes. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, WEIR_MAX_JOINS);
	__type(key, __u64);
	__type(value, __u64);
} weir_joinable SEC(".maps");

#endif

// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/* What the contract of the bindings needs of a kernel: every kind of map, link and run that Weir uses, and nothing else. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

const volatile __u32 refused_port = 0;
const volatile __u64 stamp = 7;
__u32 runs = 0;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u64);
} hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u64);
} lru SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(key_size, 8);
	__uint(value_size, 4);
} trie SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} percpu SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1000);
	__type(key, __u32);
	__type(value, __u64);
} shared SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} socks SEC(".maps");

/* How many records, and how many bytes each: the context of the run. */
struct burst {
	__u32 records;
	__u32 discarded;
	__u32 sent;
};

SEC("syscall")
int burst(struct burst *b)
{
	__u32 i;

	for (i = 0; i < 64 && i < b->records; i++) {
		__u64 *event = bpf_ringbuf_reserve(&events, 24, 0);

		if (!event)
			break;
		event[0] = i;
		event[1] = stamp;
		event[2] = b->records;
		if (i < b->discarded)
			bpf_ringbuf_discard(event, 0);
		else
			bpf_ringbuf_submit(event, 0);
		b->sent++;
	}
	return 0;
}

SEC("tc")
int mark_first_byte(struct __sk_buff *skb)
{
	__u32 zero = 0;
	__u64 *cell = bpf_map_lookup_elem(&shared, &zero);
	__u8 byte = 0xee;

	if (cell)
		__sync_fetch_and_add(cell, 1);
	bpf_skb_store_bytes(skb, 14, &byte, 1, 0);
	skb->mark = skb->mark + 1;
	return skb->len > 100 ? 2 : 0;
}

SEC("tc")
int pass_all(struct __sk_buff *skb)
{
	return 0;
}

SEC("tc")
int drop_all(struct __sk_buff *skb)
{
	return 2;
}

SEC("cgroup/connect4")
int refuse_port(struct bpf_sock_addr *ctx)
{
	runs++;
	return refused_port && ctx->user_port == refused_port ? 0 : 1;
}

SEC("cgroup/connect4")
int allow_all(struct bpf_sock_addr *ctx)
{
	return 1;
}

SEC("sk_msg")
int pass_message(struct sk_msg_md *msg)
{
	return SK_PASS;
}

/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * sk_msg: bytes written to a joined socket are put straight into its peer's receive queue.
 *
 * Bare, that has neither back-pressure nor order against bytes that went by TCP. Both come from one rule, kept per direction:
 *
 *   joined, room in the receiver    put them there
 *   joined, no room                 spilled: let them go by TCP, whose window closes on what the receiver holds in both
 *                                   queues. A reader drains the joined queue first, so order holds.
 *   spilled                         by TCP, until the receiver has read all that this sender ever gave to TCP (its copied_seq
 *                                   is our write_seq) and half its buffer is free. Then joined again.
 *
 * Whatever is not known (peer not met, gone, unreadable) goes by TCP; nothing is ever dropped here.
 */

#define read_kernel(to, from) (bpf_probe_read_kernel(&(to), sizeof(to), &(from)) == 0)

static __always_inline bool join_meet(struct weir_join *join)
{
	struct weir_meeting *other = bpf_map_lookup_elem(&weir_meetings, &join->toward);

	if (!other)
		return false;
	join->peer = other->sock;
	join->peer_cookie = other->cookie;
	return true;
}

/*
 * Three quarters of the receiver's buffer are for joined bytes. The rest is for the TCP window that it has advertised, which a spill
 * fills: were both to share it all, TCP would find it full, drop what it had invited, and crawl (0.05 GB/s seen). sockops keeps the
 * window that small.
 */
static __always_inline bool join_has_room(struct weir_join *join, struct bpf_sock *sk, __u32 size)
{
	struct sock *receiver = (struct sock *)join->peer;
	struct tcp_sock *peer = (struct tcp_sock *)join->peer;
	__u32 used, limit;

	if (!read_kernel(used, receiver->sk_backlog.rmem_alloc.counter) || !read_kernel(limit, receiver->sk_rcvbuf))
		return false;
	limit -= limit / 4;
	if (join->spilled) {
		struct tcp_sock *tcp;
		__u32 copied;

		if (used > limit / 2)
			return false;
		tcp = bpf_skc_to_tcp_sock(sk);
		if (!tcp || !read_kernel(copied, peer->copied_seq) || copied != tcp->write_seq)
			return false;
	}
	return used + size <= limit;
}

static __always_inline void join_count(const struct weir_join *join, __u32 size)
{
	struct weir_flow *flow;
	struct weir_tuple key;

	if (!join->counted)
		return;
	if (join->counted == 1)
		tuple_reverse(&join->toward, &key);
	else
		key = join->toward;
	flow = bpf_map_lookup_elem(&weir_flows, &key);
	if (!flow)
		return;
	/* One socket writes under its lock, and each side has its own counter. */
	if (join->counted == 1)
		flow->joined_tx += size;
	else
		flow->joined_rx += size;
}

SEC("sk_msg")
int weir_join(struct sk_msg_md *msg)
{
	struct bpf_sock *sk = msg->sk;
	struct weir_join *join;
	__u64 cookie;
	__u32 size;

	if (!sk)
		return SK_PASS;
	join = bpf_sk_storage_get(&weir_joins, sk, 0, 0);
	if (!join)
		return SK_PASS;
	if (!join->peer_cookie && !join_meet(join))
		return SK_PASS;
	size = msg->size;
	if (!join_has_room(join, sk, size)) {
		join->spilled = 1;
		return SK_PASS;
	}
	cookie = join->peer_cookie;
	/* Finding the cookie proves that what was read above was that socket and no other that came to its address. */
	if (bpf_msg_redirect_hash(msg, &weir_joinable, &cookie, BPF_F_INGRESS) != SK_PASS) {
		join->spilled = 1;
		return SK_PASS;
	}
	join->spilled = 0;
	join_count(join, size);
	return SK_PASS;
}

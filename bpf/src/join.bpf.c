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

static __always_inline bool join_meet(struct weir_join *join)
{
	struct weir_meeting *other = bpf_map_lookup_elem(&weir_meetings, &join->toward);

	if (!other)
		return false;
	join->peer = other->sock;
	join->peer_cookie = other->cookie;
	return true;
}

/* What is read through it is believed only when the peer's cookie still stands in weir_joinable. */
static __always_inline struct tcp_sock *join_receiver(const struct weir_join *join)
{
	return bpf_rdonly_cast((void *)join->peer, bpf_core_type_id_kernel(struct tcp_sock));
}

struct reading {
	__u64 receiver; /* address of its tcp_sock */
	__u32 written;  /* where the writer's TCP stream ends */
};

static __always_inline struct tcp_sock *tcp_at(__u64 address)
{
	return bpf_rdonly_cast((void *)address, bpf_core_type_id_kernel(struct tcp_sock));
}

static long reader_has_left(__u32 look, void *context)
{
	struct reading *reading = context;
	struct sock *receiver = (struct sock *)tcp_at(reading->receiver);

	return !receiver->sk_lock.owned;
}

static long reader_has_all(__u32 look, void *context)
{
	struct reading *reading = context;

	return tcp_at(reading->receiver)->copied_seq == reading->written;
}

/*
 * The kernel puts a writer to sleep that finds the reader inside its socket. There it copies, which takes less time than two context
 * switches, so a writer on another core looks for a moment before.
 */
static __always_inline void join_await_reader(struct reading *reading)
{
	if (!reader_has_left(0, reading))
		bpf_loop(weir_joined_looks, reader_has_left, reading, 0);
}

/*
 * All that went by TCP was read. A reader that keeps up leaves less than one message there, for ever: its next read takes that, and
 * is worth waiting for where it is on its way and the message is long.
 */
static __always_inline bool join_is_drained(struct reading *reading, __u32 size)
{
	__u32 left = reading->written - tcp_at(reading->receiver)->copied_seq;

	if (!left)
		return true;
	if (left >= size || size < weir_joined_worth)
		return false;
	bpf_loop(weir_joined_looks, reader_has_all, reading, 0);
	return reader_has_all(0, reading);
}

/*
 * Three quarters of the receiver's buffer are for joined bytes. The rest is for the TCP window that it has advertised, which a spill
 * fills: were both to share it all, TCP would find it full, drop what it had invited, and crawl (0.05 GB/s seen). sockops keeps the
 * window that small.
 */
static __always_inline bool join_has_room(struct weir_join *join, struct bpf_sock *sk, struct reading *reading, __u32 size)
{
	struct sock *receiver = (struct sock *)tcp_at(join->peer);
	__u32 used = receiver->sk_backlog.rmem_alloc.counter, limit = receiver->sk_rcvbuf;

	limit -= limit / 4;
	if (join->spilled) {
		struct tcp_sock *tcp;

		if (used > limit / 2)
			return false;
		tcp = bpf_skc_to_tcp_sock(sk);
		if (!tcp)
			return false;
		reading->written = tcp->write_seq;
		if (!join_is_drained(reading, size))
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
	struct reading reading = {};
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
	/* What is read there is believed only when the peer's cookie still stands in weir_joinable. */
	reading.receiver = join->peer;
	size = msg->size;
	if (!join_has_room(join, sk, &reading, size)) {
		join->spilled = 1;
		return SK_PASS;
	}
	join_await_reader(&reading);
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

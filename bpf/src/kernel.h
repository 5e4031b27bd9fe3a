/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * The only kernel structures that the programs look into, and of them only the fields read. CO-RE moves the offsets to those
 * of the kernel that loads the object, so the machine that builds needs no BTF and may run any kernel.
 */
#ifndef WEIR_KERNEL_H
#define WEIR_KERNEL_H

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} atomic_t;

struct sock_common {
	unsigned long skc_flags;
	__u32 skc_tw_rcv_nxt; /* of TIME-WAIT only */
};

struct inet_timewait_sock {
	struct sock_common __tw_common;
	__u32 tw_mark;
};

struct tcp_timewait_sock {
	struct inet_timewait_sock tw_sk;
};

typedef struct {
	int owned;
} socket_lock_t;

struct sock {
	struct sock_common __sk_common;
	socket_lock_t sk_lock;
	int sk_rcvbuf;
	__u8 sk_userlocks; /* a bit field before 6.9 */
	struct {
		atomic_t rmem_alloc;
	} sk_backlog;
};

struct tcp_congestion_ops {
	char name[16];
};

struct inet_connection_sock {
	const struct tcp_congestion_ops *icsk_ca_ops;
	__u8 icsk_ca_setsockopt : 1;
};

struct tcp_sock {
	__u32 rcv_nxt;
	__u32 copied_seq;
	__u32 window_clamp;
	__u32 write_seq;
	__u64 bytes_sent;
	__u64 bytes_retrans;
	__u64 bytes_received;
};

struct net {
	__u64 net_cookie;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct net_device {
	possible_net_t nd_net;
};

struct sk_buff {
	struct net_device *dev;
	__u16 network_header; /* from head */
	unsigned char *head;
	unsigned char *data;
};

/* SOCK_DONE: a FIN came in. */
enum sock_flags {
	SOCK_DONE = 1,
};

#pragma clang attribute pop

/* The packet behind a context, whose fields are then plain loads. */
extern void *bpf_cast_to_kern_ctx(void *context) __ksym;
/* An address taken for a kernel structure: its fields are plain loads, and one that cannot be read is 0. */
extern void *bpf_rdonly_cast(const void *address, __u32 type) __ksym;

/* Which helpers this kernel has is read from its own BTF at load. */
enum bpf_func_id___weir {
	BPF_FUNC_set_retval___weir = 187,
};

#endif

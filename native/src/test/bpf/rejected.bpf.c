// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/* Compiles, and no verifier may take it: it reads a packet without a look at its end. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

SEC("tc")
int reads_past_the_end(struct __sk_buff *skb)
{
	return *(__u8 *)(long)skb->data;
}

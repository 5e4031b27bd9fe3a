/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* One object, so that all programs share their maps however it is loaded; one file a hook family. */
#include <stdbool.h>

#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "weir.h"

#include "kernel.h"
#include "maps.h"

#include "common.h"

#include "connect.bpf.c"
#include "datagram.bpf.c"
#include "peername.bpf.c"
#include "sockops.bpf.c"
#include "join.bpf.c"
#include "pod.bpf.c"

/* Never called, so never loaded: its parameter brings into the object's BTF what the programs know only as numbers, for the test
 * that holds Java's layouts to this header. */
struct weir_types {
	struct weir_event event;
	enum weir_pod_flag pod_flag;
	enum weir_address_flag address_flag;
	enum weir_service_flag service_flag;
	enum weir_verdict_flag verdict_flag;
	enum weir_path path;
	enum weir_port_kind port_kind;
	enum weir_control_flag control_flag;
	enum weir_reason reason;
	enum weir_event_kind event_kind;
};

int weir_types(struct weir_types *types)
{
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";

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

char LICENSE[] SEC("license") = "Dual BSD/GPL";

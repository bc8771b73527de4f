/* SPDX-License-Identifier: Apache-2.0
 *
 * tcp_facts.h - what the kernel knows of a connection of TCP, for whoever watches.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct tcp_facts {
    bool is_known; /* false: it is none of TCP, and all else is zero */
    uint32_t rtt_us, rtt_var_us, retransmits, lost, congestion_window, unsent;
    uint64_t bytes_in, bytes_acked;
};

/* Any descriptor will do, and -1. */
void tcp_facts_of(int fd, struct tcp_facts *ret_facts);

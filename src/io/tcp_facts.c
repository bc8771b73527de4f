/* SPDX-License-Identifier: Apache-2.0
 *
 * tcp_facts.c - TCP_INFO, with the kernel's own structure: the C library's is shorter.
 */
#include "io/tcp_facts.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

void tcp_facts_of(int fd, struct tcp_facts *ret_facts)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);
    *ret_facts = (struct tcp_facts){.is_known = false};
    if (fd < 0 || getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0
        || len < offsetof(struct tcp_info, tcpi_notsent_bytes) + sizeof(info.tcpi_notsent_bytes))
        return;
    *ret_facts = (struct tcp_facts){.is_known = true,
                                    .rtt_us = info.tcpi_rtt,
                                    .rtt_var_us = info.tcpi_rttvar,
                                    .retransmits = info.tcpi_total_retrans,
                                    .lost = info.tcpi_lost,
                                    .congestion_window = info.tcpi_snd_cwnd,
                                    .unsent = info.tcpi_notsent_bytes,
                                    .bytes_in = info.tcpi_bytes_received,
                                    .bytes_acked = info.tcpi_bytes_acked};
}

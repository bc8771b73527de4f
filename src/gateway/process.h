/* SPDX-License-Identifier: Apache-2.0
 *
 * process.h - this process as the kernel sees it.
 */
#pragma once
#include <stdint.h>

struct process_figures {
    uint64_t resident_bytes;
    uint64_t cpu_us; /* user and system */
    uint32_t descriptors, descriptors_max;
};

void process_figures(struct process_figures *ret);
uint64_t process_resident_bytes(void);
uint32_t process_descriptors(void); /* before Linux 6.2 it goes through all of them */

/* Raises the soft limit of descriptors to the hard one; what it is then. */
uint32_t process_raise_descriptors(void);
uint32_t process_cpus(void); /* that this process may run on */

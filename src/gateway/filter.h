/* SPDX-License-Identifier: Apache-2.0
 *
 * filter.h - the system calls that are left to the process: seccomp(2), by the list of syscall.def.
 *
 * A call that is not on the list fails with EPERM, and the kernel's audit log has it (type 1326,
 * with its number). It is not answered with the end of the process: a list that lacks something,
 * for a new version of a library, would make of one failed call an outage of all clients, while
 * what an intruder wanted is refused either way. Calls that are newer than the list fail with
 * ENOSYS, upon which libraries go the older way.
 */
#pragma once
#include <stdbool.h>

/* For all threads, and for good; needs no_new_privs. 0, or -errno: -ENOSYS where the kernel has no
 * such filter, or the list is not for this processor. */
int filter_close(void);
bool filter_is_closed(void); /* for the thread that asks; the kernel's word */

/* SPDX-License-Identifier: Apache-2.0
 *
 * privileges.h - what the process may do as whoever it is, and how it gives that up for good.
 *
 * Linux keeps capabilities by thread: all of this is done while there is one.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct privileges_wish {
    const char *user;     /* to become, by name or number; "": stays who it is */
    bool keeps_low_ports; /* CAP_NET_BIND_SERVICE stays, where it is there */
    bool sheds;           /* the rest goes even where it stays who it is; nobody may look inside, no
                             core is written, and no program that it starts may do more */
};

/* 0, or -errno and in `ret_fault` why, and what to do. */
int privileges_drop(const struct privileges_wish *wish, char *ret_fault, size_t fault_max);

/* Before that: the descriptor is that user's, too, where it may be given. */
void privileges_cede(const char *user, int fd);

/* As the kernel has it now. Any thread; the capabilities are this thread's. */
struct privileges_facts {
    uint32_t uid, gid;
    uint64_t capabilities; /* a bit for each */
    bool no_new_privs;
    bool dumpable; /* a debugger of the same user may attach, a core may be written */
};
void privileges_facts(struct privileges_facts *ret);

/* "none", "all", "net_bind_service", or a number in hexadecimal. */
void privileges_print(uint64_t capabilities, char *ret, size_t size);
/* The name of `uid`, or its number. Asks the name service: not once the sandbox is closed. */
void privileges_user_name(uint32_t uid, char *ret, size_t size);

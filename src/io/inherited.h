/* SPDX-License-Identifier: Apache-2.0
 *
 * inherited.h - listening sockets that this process was given: by the one that it takes over from,
 * or by a service manager (LISTEN_FDS, sd_listen_fds(3)).
 *
 * Who wants to listen somewhere asks here first, and binds one of its own where there is none.
 * What nobody has asked for is closed with the set. One thread at a time.
 */
#pragma once
#include "io/address.h"

#include <stdbool.h>
#include <stdint.h>

#define INHERITED_MAX      1024U
#define INHERITED_NAME_MAX 64U

struct inherited;

int inherited_new(struct inherited **ret_inherited);   /* 0 or -errno */
void inherited_free(struct inherited *take_inherited); /* NULL is fine */

/* Takes the descriptor, also where it fails: -EINVAL: it does not listen for streams; -ENFILE: too
 * many; -ENOMEM. */
int inherited_add(struct inherited *inherited, int take_fd, const char *name);
/* Those of the environment, which has them no more. How many, or -errno: a descriptor that does
 * not listen, or that is not open. */
int inherited_add_activated(struct inherited *inherited);
uint32_t inherited_count(const struct inherited *inherited);

/* The one that listens at that address; where its port is 0, the one of that name at that host.
 * -1: there is none. It is the caller's. `inherited` may be NULL. */
int inherited_take(struct inherited *inherited, const struct address *address, const char *name);

/* One that nobody has taken, from the last; false: there is none left. It is closed with the call.
 */
bool inherited_drop(struct inherited *inherited, char ret_name[INHERITED_NAME_MAX],
                    char ret_address[ADDRESS_TEXT_MAX]);

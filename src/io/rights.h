/* SPDX-License-Identifier: Apache-2.0
 *
 * rights.h - a message with a descriptor (SCM_RIGHTS) over a local socket.
 */
#pragma once
#include <stddef.h>

/* fd: -1: none; a copy goes, it stays the caller's. 0 or -errno. flags: as for sendmsg(). */
int rights_send(int socket, const void *bytes, size_t len, int fd, int flags);

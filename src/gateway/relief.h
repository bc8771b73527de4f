/* SPDX-License-Identifier: Apache-2.0
 *
 * relief.h - ten times a second: how short the process is of descriptors and memory, and what is
 * given up for it.
 *
 *     timer ─▶ pressure.h ─▶ overload.h ─▶ workers: keep-alive halves, the longest idle close
 *                                      └─▶ ports: new clients are refused
 *
 * All of it on the hub's thread, but what workers do. Between two looks descriptors cannot run out
 * either: ports compare what is in use with each client (listener/accept.h). Where a client of the
 * configuration has priority high newcomers are let in to show whose they are, up to the last
 * hundredth, and their first request is refused unless it is such a client's. In the last hundredth
 * of memory every request is, but such a client's.
 */
#pragma once
#include "gateway/overload.h"

struct relief;
struct server;

/* 0 or -ENOMEM. The first look comes later, when the workers run. */
int relief_open(struct server *server, struct relief **ret_relief);
/* The clients of the configuration in force. */
void relief_obey(struct relief *relief);
void relief_close(struct relief *take_relief); /* NULL is fine */

struct relief_info {
    struct overload overload;
    struct overload_use use[OVERLOAD_RESOURCES];
};
void relief_info_of(const struct relief *relief, struct relief_info *ret_info);
/* "memory at 93.4 %: clients that are idle for longest are closed" */
#define RELIEF_TEXT 120U
void relief_print(const struct relief *relief, char ret_text[RELIEF_TEXT]);

/* SPDX-License-Identifier: Apache-2.0
 *
 * client_leases.h - gateways that share a Redis: who asks it for more of what clients may, and
 * when.
 *
 *     a request has to wait       at once, but no more often than every LEASES_PRESS_MS
 *     a place is given back that  … the same
 *       others are short of
 *     there is less than there    at once, so that others have it
 *       was
 *     all others in use           every LEASES_LOOK_MS, which keeps what is held as well
 *
 * A question goes out from any thread, and no request waits for it but in the line in which it
 * would wait for a place; answers come on a thread of the sessions' own, and call that line. Every
 * LEASES_MEET_MS it is asked how many gateways there are, by which a limit is divided when nobody
 * can be asked.
 */
#pragma once
#include <weir/session.h>

#include <stdint.h>

#define LEASES_LOOK_MS  250U
#define LEASES_PRESS_MS 20U
#define LEASES_MEET_MS  1000U
#define LEASES_MET_MS   30000U /* a gateway counts as one for so long after it was last heard of */

struct client_keys;
struct client_leases;
struct loop;
struct wait_hall;

/* Borrowed, all of them. 0 or -errno. */
int client_leases_new(struct client_keys *keys, weir_sessions *sessions, struct wait_hall *hall,
                      struct client_leases **ret_leases);
/* From now on by that loop. */
void client_leases_start(struct client_leases *leases, struct loop *loop);
/* Nobody is called any more, and nothing asked: on the loop's thread, or when it has ended. NULL is
 * fine. */
void client_leases_end(struct client_leases *leases);
/* Its sessions are closed. */
void client_leases_free(struct client_leases *take_leases);

/* Any thread. */
void client_leases_press(struct client_leases *leases, uint32_t client, uint64_t now_ms);

struct client_leases_info {
    uint64_t answered, failed; /* questions */
};
void client_leases_info_of(const struct client_leases *leases, struct client_leases_info *ret_info);

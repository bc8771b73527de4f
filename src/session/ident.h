/* SPDX-License-Identifier: Apache-2.0
 *
 * ident.h - ids of sessions: those that we make, and those that are made of a client's own key.
 *
 *   made    80 random bits and a mark of 48 that only the secret's holder can write: an id that
 *           somebody made up is refused without a look-up
 *   keyed   SipHash-2-4 of 128 bits over tenant and key: equal keys of two tenants are two
 * sessions, and a keyed id is not one that a client can show as made
 *
 * Gateways that share their sessions share the secret. Pure: who makes an id brings the randomness.
 */
#pragma once
#include "base/siphash.h"
#include "base/text.h"
#include "proto/session_record.h"

#define IDENT_SECRET 32U
#define IDENT_TEXT   32U  /* hexadecimal digits */
#define IDENT_KEY    512U /* most bytes of tenant and key together */

struct ident_secret {
    struct siphash_key mark, keyed;
};

struct ident_secret ident_secret_of(const unsigned char bytes[IDENT_SECRET]);

/* From 16 random bytes. */
struct session_id ident_make(const struct ident_secret *secret, const unsigned char random[16]);
bool ident_is_made(const struct ident_secret *secret, struct session_id id);

/* tenant.len + key.len ≤ IDENT_KEY, key.len > 0. */
struct session_id ident_keyed(const struct ident_secret *secret, struct slice tenant,
                              struct slice key);

void ident_text(struct session_id id, char ret_text[static IDENT_TEXT + 1]);
/* Lower-case digits, all of them; false: anything else. */
bool ident_parse(struct slice text, struct session_id *ret_id);

/* SPDX-License-Identifier: Apache-2.0
 *
 * websocket_terms.h - permessage-deflate (RFC 7692 §7.1): its terms, offered, chosen and checked.
 */
#pragma once
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WS_WINDOW_MIN 8U
#define WS_WINDOW_MAX 15U

/* What two ends agreed on. Windows are powers of two. */
struct ws_terms {
    uint8_t server_bits, client_bits; /* of who deflates, 8 to 15 */
    bool server_fresh, client_fresh;  /* "no_context_takeover": each message by itself */
    bool client_bits_said;            /* an offer: the server may limit the client's window */
};
#define WS_TERMS_DEFAULT                                                                           \
    ((struct ws_terms){.server_bits = WS_WINDOW_MAX, .client_bits = WS_WINDOW_MAX})

#define WS_TERMS_TEXT_MAX 160U

/* A server's choice: the first offer in a Sec-WebSocket-Extensions that can be served, and within
 * `ours`. False: none, the connection goes without. */
bool ws_terms_choose(struct slice offers, const struct ws_terms *ours, struct ws_terms *ret);
/* The value of the field: an answer with what was chosen, an offer of `ours`. Returns the length.
 */
size_t ws_terms_write_answer(const struct ws_terms *chosen, char ret[WS_TERMS_TEXT_MAX]);
size_t ws_terms_write_offer(const struct ws_terms *ours, char ret[WS_TERMS_TEXT_MAX]);
/* A client's judgement of the answer to its offer. False: it must fail the connection. */
bool ws_terms_accept(struct slice answer, const struct ws_terms *offered, struct ws_terms *ret);

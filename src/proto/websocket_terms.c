/* SPDX-License-Identifier: Apache-2.0
 *
 * websocket_terms.c - four parameters, each at most once, each with the meaning of RFC 7692 §7.1.
 */
#include "proto/websocket_terms.h"

#include <stdio.h>

#define EXTENSION    SLICE("permessage-deflate")
#define SERVER_FRESH "server_no_context_takeover"
#define CLIENT_FRESH "client_no_context_takeover"
#define SERVER_BITS  "server_max_window_bits"
#define CLIENT_BITS  "client_max_window_bits"

/* One extension of a list, as it was written. 0 bits: not said. */
struct said {
    bool is_deflate, is_malformed;
    bool server_fresh, client_fresh;
    bool client_bits_said;
    uint8_t server_bits, client_bits;
};

/* RFC 7692 §7.1.2: a number from 8 to 15 without leading zeroes; quotes may stand around it. */
static bool parse_bits(struct slice text, uint8_t *ret)
{
    uint64_t bits;
    if (text.len >= 2 && text.at[0] == '"' && text.at[text.len - 1] == '"') {
        text = (struct slice){text.at + 1, text.len - 2};
    }
    if (text.len == 0 || text.at[0] == '0' || !text_parse_u64(text, &bits) || bits < WS_WINDOW_MIN
        || bits > WS_WINDOW_MAX) {
        return false;
    }
    *ret = (uint8_t)bits;
    return true;
}

static bool say_flag(bool *flag, bool has_value)
{
    bool is_first = !*flag;
    *flag = true;
    return is_first && !has_value;
}

static bool say_parameter(struct said *said, struct slice name, struct slice value, bool has_value)
{
    if (slice_same_nocase(name, SLICE(SERVER_FRESH))) {
        return say_flag(&said->server_fresh, has_value);
    }
    if (slice_same_nocase(name, SLICE(CLIENT_FRESH))) {
        return say_flag(&said->client_fresh, has_value);
    }
    if (slice_same_nocase(name, SLICE(SERVER_BITS))) {
        return said->server_bits == 0 && has_value && parse_bits(value, &said->server_bits);
    }
    if (slice_same_nocase(name, SLICE(CLIENT_BITS))) {
        return say_flag(&said->client_bits_said, false)
               && (!has_value || parse_bits(value, &said->client_bits));
    }
    return false;
}

static struct said parse_one(struct slice text)
{
    struct said said = {0};
    struct slice part;
    slice_split(&text, ';', &part);
    said.is_deflate = slice_same_nocase(slice_trim(part), EXTENSION);
    while (said.is_deflate && !said.is_malformed && slice_split(&text, ';', &part)) {
        struct slice name;
        slice_split(&part, '=', &name);
        bool has_value = part.at != NULL;
        said.is_malformed = !say_parameter(&said, slice_trim(name),
                                           has_value ? slice_trim(part) : (struct slice){NULL, 0},
                                           has_value);
    }
    return said;
}

static uint8_t least(uint8_t a, uint8_t b)
{
    return a < b ? a : b;
}

/* A window of 8 cannot be had from zlib; a server may decline whoever asks for one. */
static bool choose(const struct said *offer, const struct ws_terms *ours, struct ws_terms *ret)
{
    if (!offer->is_deflate || offer->is_malformed || offer->server_bits == WS_WINDOW_MIN) {
        return false;
    }
    uint8_t most = offer->client_bits != 0 ? offer->client_bits : (uint8_t)WS_WINDOW_MAX;
    *ret = (struct ws_terms){
        .server_bits = offer->server_bits != 0 ? least(offer->server_bits, ours->server_bits)
                                               : ours->server_bits,
        .client_bits = offer->client_bits_said ? least(most, ours->client_bits)
                                               : (uint8_t)WS_WINDOW_MAX,
        .server_fresh = offer->server_fresh || ours->server_fresh,
        .client_fresh = offer->client_fresh || ours->client_fresh,
        .client_bits_said = offer->client_bits_said,
    };
    return true;
}

bool ws_terms_choose(struct slice offers, const struct ws_terms *ours, struct ws_terms *ret)
{
    struct slice part;
    while (slice_split(&offers, ',', &part)) {
        struct said offer = parse_one(part);
        if (choose(&offer, ours, ret)) {
            return true;
        }
    }
    return false;
}

static size_t write_terms(const struct ws_terms *terms, bool is_offer, char *ret)
{
    char server[40] = "";
    char client[40] = "";
    if (terms->server_bits < WS_WINDOW_MAX) {
        snprintf(server, sizeof server, "; " SERVER_BITS "=%u", terms->server_bits);
    }
    if (terms->client_bits_said && terms->client_bits < WS_WINDOW_MAX) {
        snprintf(client, sizeof client, "; " CLIENT_BITS "=%u", terms->client_bits);
    } else if (is_offer) {
        snprintf(client, sizeof client, "; " CLIENT_BITS);
    }
    return (size_t)snprintf(ret, WS_TERMS_TEXT_MAX, "permessage-deflate%s%s%s%s",
                            terms->server_fresh ? "; " SERVER_FRESH : "",
                            terms->client_fresh ? "; " CLIENT_FRESH : "", server, client);
}

size_t ws_terms_write_answer(const struct ws_terms *chosen, char ret[WS_TERMS_TEXT_MAX])
{
    return write_terms(chosen, false, ret);
}

size_t ws_terms_write_offer(const struct ws_terms *ours, char ret[WS_TERMS_TEXT_MAX])
{
    struct ws_terms said = *ours;
    said.client_bits_said = ours->client_bits < WS_WINDOW_MAX;
    return write_terms(&said, true, ret);
}

bool ws_terms_accept(struct slice answer, const struct ws_terms *offered, struct ws_terms *ret)
{
    struct slice one;
    struct slice more;
    slice_split(&answer, ',', &one);
    struct said said = parse_one(one);
    if (slice_split(&answer, ',', &more) || !said.is_deflate || said.is_malformed) {
        return false;
    }
    uint8_t server_bits = said.server_bits != 0 ? said.server_bits : (uint8_t)WS_WINDOW_MAX;
    bool says_no_number = said.client_bits_said && said.client_bits == 0;
    if (server_bits > offered->server_bits || (offered->server_fresh && !said.server_fresh)
        || says_no_number) {
        return false;
    }
    *ret = (struct ws_terms){
        .server_bits = server_bits,
        .client_bits = said.client_bits != 0 ? least(said.client_bits, offered->client_bits)
                                             : offered->client_bits,
        .server_fresh = said.server_fresh,
        .client_fresh = said.client_fresh || offered->client_fresh,
        .client_bits_said = said.client_bits_said,
    };
    return true;
}

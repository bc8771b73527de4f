/* SPDX-License-Identifier: Apache-2.0 */
#include "session/ident.h"

#include "base/check.h"

#define MARK_BITS 48U
#define MARK_MASK ((UINT64_C(1) << MARK_BITS) - 1)

struct ident_secret ident_secret_of(const unsigned char bytes[IDENT_SECRET])
{
    struct ident_secret secret;
    _Static_assert(sizeof secret == IDENT_SECRET, "as many bytes as it has");
    memcpy(&secret, bytes, sizeof secret);
    return secret;
}

static uint64_t mark_of(const struct ident_secret *secret, struct session_id id)
{
    uint64_t words[2] = {id.high, id.low & ~MARK_MASK};
    return siphash(&secret->mark, words, sizeof words) & MARK_MASK;
}

struct session_id ident_make(const struct ident_secret *secret, const unsigned char random[16])
{
    struct session_id id;
    memcpy(&id.high, random, 8);
    memcpy(&id.low, random + 8, 8);
    id.low &= ~MARK_MASK;
    id.low |= mark_of(secret, id);
    return id;
}

bool ident_is_made(const struct ident_secret *secret, struct session_id id)
{
    return ((mark_of(secret, id) ^ id.low) & MARK_MASK) == 0; /* one comparison: no time to learn */
}

struct session_id ident_keyed(const struct ident_secret *secret, struct slice tenant,
                              struct slice key)
{
    char bytes[4 + IDENT_KEY];
    uint64_t wide[2];
    check(tenant.len + key.len <= IDENT_KEY);
    memcpy(bytes, &tenant.len, 4); /* so that "ab" + "c" is not "a" + "bc" */
    if (tenant.len > 0) {
        memcpy(bytes + 4, tenant.at, tenant.len);
    }
    memcpy(bytes + 4 + tenant.len, key.at, key.len);
    siphash_wide(&secret->keyed, bytes, 4 + tenant.len + key.len, wide);
    struct session_id id = {wide[0], wide[1]};
    if (session_id_is_none(id)) {
        id.low = 1;
    }
    return id;
}

static char digit_of(uint64_t value)
{
    return "0123456789abcdef"[value & 15];
}

void ident_text(struct session_id id, char ret_text[static IDENT_TEXT + 1])
{
    for (unsigned i = 0; i < 16; i++) {
        ret_text[i] = digit_of(id.high >> (60 - 4 * i));
        ret_text[16 + i] = digit_of(id.low >> (60 - 4 * i));
    }
    ret_text[IDENT_TEXT] = '\0';
}

bool ident_parse(struct slice text, struct session_id *ret_id)
{
    uint64_t words[2] = {0, 0};
    if (text.len != IDENT_TEXT) {
        return false;
    }
    for (unsigned i = 0; i < IDENT_TEXT; i++) {
        char c = text.at[i];
        if (!text_is_digit(c) && (c < 'a' || c > 'f')) {
            return false;
        }
        words[i / 16] = words[i / 16] << 4 | (uint64_t)(text_is_digit(c) ? c - '0' : c - 'a' + 10);
    }
    if (words[0] == 0 && words[1] == 0) {
        return false;
    }
    *ret_id = (struct session_id){words[0], words[1]};
    return true;
}

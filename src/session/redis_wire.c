/* SPDX-License-Identifier: Apache-2.0 */
#include "session/redis_wire.h"

#include "base/check.h"
#include "base/crc32c.h"
#include "proto/redis_slots.h"
#include "session/attrs.h"
#include "session/ident.h"
#include "session/redis_hear.h"
#include "session/redis_script.h"

#include <openssl/evp.h>
#include <stdio.h>

#define KEY_MAX    (REDIS_PREFIX_MAX + 9U + IDENT_TEXT) /* ":s:{bbb}:" and the id */
#define NUMBER_MAX (UINT64_C(1) << 40) /* ms, some 35 years: what the script can add up */

#define SIGNED_AS_IT_IS 16U /* a value up to that is its own signature; */
#define SIGNATURE       20U /* of a longer one, so much of its SHA-1 */

/* What is packed of a session: all of it goes into one of `head`'s. */
struct pack {
    uint32_t len;
    char at[REDIS_RECORD_MAX];
};

struct packs {
    struct pack head, signatures, values;
};

static const char *const scripts[REDIS_SCRIPTS] = {[REDIS_MERGE] = SCRIPT_MERGE,
                                                   [REDIS_BURY] = SCRIPT_BURY,
                                                   [REDIS_READ] = SCRIPT_READ,
                                                   [REDIS_LEASE] = SCRIPT_LEASE,
                                                   [REDIS_FIND] = SCRIPT_FIND};

static const char *const fields[] = {"u", "a", "k"};

/* --- opening ------------------------------------------------------------------------------------
 */

static bool sha_of(struct slice text, char ret_text[REDIS_SHA + 1])
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (EVP_Digest(text.at, text.len, sum, &len, EVP_sha1(), NULL) != 1 || len != REDIS_SHA / 2) {
        return false;
    }
    for (unsigned i = 0; i < len; i++) {
        snprintf(ret_text + 2UL * i, 3, "%02x", sum[i]);
    }
    return true;
}

/* Braces would move the tag of the slot. */
static bool is_prefix(const char *prefix)
{
    for (const char *at = prefix; *at != '\0'; at++) {
        if (*at <= ' ' || *at >= 0x7f || *at == '{' || *at == '}') {
            return false;
        }
    }
    return prefix[0] != '\0' && strlen(prefix) <= REDIS_PREFIX_MAX;
}

bool redis_wire_init(struct redis_wire *wire, const char *prefix, uint64_t origin,
                     uint64_t slack_ms)
{
    *wire = (struct redis_wire){.slack_ms = slack_ms};
    if (!is_prefix(prefix)) {
        return false;
    }
    snprintf(wire->prefix, sizeof wire->prefix, "%s", prefix);
    snprintf(wire->origin, sizeof wire->origin, "%llx", (unsigned long long)origin);
    for (unsigned i = 0; i < REDIS_SCRIPTS; i++) {
        if (!sha_of(slice_of(scripts[i]), wire->sha[i])) {
            return false;
        }
    }
    return true;
}

/* --- saying -------------------------------------------------------------------------------------
 */

uint32_t redis_wire_tag(weir_session_id id)
{
    return (uint32_t)((id.high ^ id.low) * UINT64_C(0x9e3779b97f4a7c15) >> 54); /* ten bits */
}

uint16_t redis_wire_slot(uint32_t tag)
{
    char text[16];
    int len = snprintf(text, sizeof text, "%03x", (unsigned)tag);
    return redis_slot_of((struct slice){text, (uint32_t)len});
}

static struct slice key_of(const struct redis_wire *wire, char kind, weir_session_id id,
                           char ret_key[KEY_MAX + 1])
{
    char text[IDENT_TEXT + 1];
    ident_text((struct session_id){id.high, id.low}, text);
    int len = snprintf(ret_key, KEY_MAX + 1, "%s:%c:{%03x}:%s", wire->prefix, kind,
                       (unsigned)redis_wire_tag(id), text);
    return (struct slice){ret_key, (uint32_t)len};
}

static void word(struct resp_writer *writer, const char *text)
{
    resp_word(writer, slice_of(text));
}

void redis_wire_binary(weir_session_id id, char ret_id[REDIS_ID])
{
    for (unsigned i = 0; i < REDIS_ID; i++) {
        uint64_t half = i < REDIS_ID / 2 ? id.high : id.low;
        ret_id[i] = (char)(half >> (56 - 8 * (i % 8)) & 0xff);
    }
}

/* EVALSHA with a session's two keys; `args` words are to follow. */
static void begin_script(const struct redis_wire *wire, struct resp_writer *writer,
                         struct bytes *out, enum redis_script script, weir_session_id id,
                         uint32_t args)
{
    char key[KEY_MAX + 1];
    resp_begin(writer, out, 5 + args);
    word(writer, "EVALSHA");
    word(writer, wire->sha[script]);
    word(writer, "2");
    resp_word(writer, key_of(wire, 's', id, key));
    resp_word(writer, key_of(wire, 't', id, key));
}

bool redis_wire_scripts(struct bytes *out)
{
    bool is_there = true;
    for (unsigned i = 0; is_there && i < REDIS_SCRIPTS; i++) {
        const struct slice words[] = {SLICE("SCRIPT"), SLICE("LOAD"), slice_of(scripts[i])};
        is_there = resp_command(out, words, 3);
    }
    return is_there;
}

bool redis_wire_bury(const struct redis_wire *wire, struct bytes *out,
                     const weir_session_delta *change)
{
    struct resp_writer writer;
    char to[IDENT_TEXT + 1] = "", own[REDIS_ID];
    if (change->successor.high != 0 || change->successor.low != 0) {
        ident_text((struct session_id){change->successor.high, change->successor.low}, to);
    }
    begin_script(wire, &writer, out, REDIS_BURY, change->id, 4);
    redis_wire_binary(change->id, own);
    word(&writer, to);
    resp_number(&writer, change->left_ms);
    resp_number(&writer, wire->slack_ms);
    resp_word(&writer, (struct slice){own, sizeof own});
    return resp_end(&writer);
}

/* --- saying what a session is -------------------------------------------------------------------
 *
 * As the script unpacks it. All of a record fits into its packs: REDIS_RECORD_MAX has the sum.
 */

static void put(struct pack *pack, const void *at, size_t len)
{
    check(len <= sizeof pack->at - pack->len);
    memcpy(pack->at + pack->len, at, len);
    pack->len += (uint32_t)len;
}

static void put_byte(struct pack *pack, unsigned value)
{
    char byte = (char)value;
    put(pack, &byte, 1);
}

/* As few bytes as it takes, the greatest first. */
static void put_number(struct pack *pack, uint64_t number)
{
    number = number < NUMBER_MAX ? number : NUMBER_MAX;
    if (number < 0x80) {
        put_byte(pack, (unsigned)number);
        return;
    }
    unsigned bytes = number <= UINT8_MAX    ? 1
                     : number <= UINT16_MAX ? 2
                     : number <= UINT32_MAX ? 4
                                            : 8;
    put_byte(pack, bytes == 1 ? 0xcc : bytes == 2 ? 0xcd : bytes == 4 ? 0xce : 0xcf);
    while (bytes-- > 0) {
        put_byte(pack, (unsigned)(number >> 8 * bytes) & 0xff);
    }
}

static void put_text(struct pack *pack, struct slice text)
{
    if (text.len < 0x20) {
        put_byte(pack, 0xa0 | text.len);
    } else if (text.len <= UINT8_MAX) {
        put_byte(pack, 0xd9);
        put_byte(pack, text.len);
    } else {
        put_byte(pack, 0xda);
        put_byte(pack, text.len >> 8);
        put_byte(pack, text.len & 0xff);
    }
    if (text.len > 0) {
        put(pack, text.at, text.len);
    }
}

/* What stands for a value where it is only to be told from another one; false: no SHA-1. */
static bool put_signature(struct pack *pack, struct slice value)
{
    char sum[REDIS_SHA + 1];
    bool is_short = value.len <= SIGNED_AS_IT_IS;
    if (!is_short && !sha_of(value, sum)) {
        return false;
    }
    put_text(pack, is_short ? value : (struct slice){sum, SIGNATURE});
    return true;
}

static bool put_field(struct packs *packs, struct slice name, struct slice value)
{
    put_text(&packs->signatures, name);
    put_text(&packs->values, name);
    put_text(&packs->values, value);
    return put_signature(&packs->signatures, value);
}

static bool put_attrs(struct packs *packs, struct slice attrs)
{
    char field[1 + ATTRS_NAME_MAX] = "@";
    struct slice name, value;
    bool is_fine = true;
    while (is_fine && attrs_next(&attrs, &name, &value)) {
        memcpy(field + 1, name.at, name.len);
        is_fine = put_field(packs, (struct slice){field, name.len + 1}, value);
    }
    return is_fine;
}

static bool put_fields(struct packs *packs, const weir_session_delta *change)
{
    const weir_session *session = change->session;
    const char *names[] = {session->user, session->account, session->key};
    const char status[] = {(char)('0' + session->status)};
    bool is_fine = put_field(packs, SLICE("st"), (struct slice){status, 1});
    for (unsigned i = 0; i < 3; i++) {
        if (names[i][0] != '\0') {
            is_fine = is_fine && put_field(packs, slice_of(fields[i]), slice_of(names[i]));
        }
    }
    return is_fine && put_attrs(packs, (struct slice){change->attrs, (uint32_t)change->attrs_len});
}

static void put_head(const struct redis_wire *wire, struct pack *head,
                     const weir_session_delta *change)
{
    const weir_session *session = change->session;
    char counts[32], own[REDIS_ID];
    snprintf(counts, sizeof counts, "%u %u", (unsigned)session->requests,
             (unsigned)session->errors);
    put_number(head, change->is_known);
    put_number(head, session->left_ms);
    put_number(head, session->idle_ms);
    put_number(head, session->age_ms);
    put_text(head, slice_of(counts));
    put_text(head, slice_of(session->place));
    put_number(head, session->epoch);
    put_number(head, session->bound_ms);
    redis_wire_binary(change->id, own);
    put_text(head, (struct slice){own, sizeof own});
    put_number(head, redis_wire_code(wire, SESSION_USER, slice_of(session->user)));
    put_number(head, redis_wire_code(wire, SESSION_ACCOUNT, slice_of(session->account)));
    put_number(head, redis_wire_code(wire, SESSION_KEY, slice_of(session->key)));
}

static bool say_session(const struct redis_wire *wire, struct resp_writer *writer,
                        const weir_session_delta *change)
{
    struct packs packs;
    packs.head.len = packs.signatures.len = packs.values.len = 0;
    put_head(wire, &packs.head, change);
    bool is_fine = put_fields(&packs, change);
    put_text(&packs.head, (struct slice){packs.signatures.at, packs.signatures.len});
    put(&packs.head, packs.values.at, packs.values.len);
    resp_word(writer, (struct slice){packs.head.at, packs.head.len});
    return is_fine;
}

bool redis_wire_merge(const struct redis_wire *wire, struct bytes *out,
                      const weir_session_delta *changes, const uint32_t *order, uint32_t count)
{
    char key[KEY_MAX + 1];
    struct resp_writer writer;
    bool is_fine = true;
    resp_begin(&writer, out, 5 + 3 * count);
    word(&writer, "EVALSHA");
    word(&writer, wire->sha[REDIS_MERGE]);
    resp_number(&writer, 2UL * count);
    for (uint32_t i = 0; i < count; i++) {
        resp_word(&writer, key_of(wire, 's', changes[order[i]].id, key));
    }
    for (uint32_t i = 0; i < count; i++) {
        resp_word(&writer, key_of(wire, 't', changes[order[i]].id, key));
    }
    word(&writer, wire->origin);
    resp_number(&writer, wire->slack_ms);
    for (uint32_t i = 0; i < count; i++) {
        is_fine = say_session(wire, &writer, &changes[order[i]]) && is_fine;
    }
    return resp_end(&writer) && is_fine;
}

bool redis_wire_read(const struct redis_wire *wire, struct bytes *out, weir_session_id id)
{
    struct resp_writer writer;
    begin_script(wire, &writer, out, REDIS_READ, id, 1);
    word(&writer, wire->origin);
    return resp_end(&writer);
}

static struct slice epoch_key_of(const struct redis_wire *wire, uint32_t tag,
                                 char ret_key[KEY_MAX + 1])
{
    int len = tag == REDIS_UNTAGGED
                  ? snprintf(ret_key, KEY_MAX + 1, "%s:e", wire->prefix)
                  : snprintf(ret_key, KEY_MAX + 1, "%s:e:{%03x}", wire->prefix, (unsigned)tag);
    return (struct slice){ret_key, (uint32_t)len};
}

/* SET NX and GET beside each other are for Redis 7 alone; these two say the same to all. */
bool redis_wire_epoch(const struct redis_wire *wire, struct bytes *out, uint32_t tag,
                      uint64_t fresh)
{
    char key[KEY_MAX + 1], value[17];
    snprintf(value, sizeof value, "%llx", (unsigned long long)fresh);
    const struct slice set[] = {SLICE("SET"), epoch_key_of(wire, tag, key), slice_of(value),
                                SLICE("NX")};
    return resp_command(out, set, 4) && redis_wire_epoch_again(wire, out, tag);
}

bool redis_wire_epoch_again(const struct redis_wire *wire, struct bytes *out, uint32_t tag)
{
    char key[KEY_MAX + 1];
    const struct slice get[] = {SLICE("GET"), epoch_key_of(wire, tag, key)};
    return resp_command(out, get, 2);
}

bool redis_wire_wait(struct bytes *out, uint32_t replicas, uint32_t timeout_ms)
{
    struct resp_writer writer;
    resp_begin(&writer, out, 3);
    word(&writer, "WAIT");
    resp_number(&writer, replicas);
    resp_number(&writer, timeout_ms);
    return resp_end(&writer);
}

bool redis_wire_claim(const struct redis_wire *wire, struct bytes *out, weir_session_id id,
                      struct slice place, uint32_t ttl_ms)
{
    char key[KEY_MAX + 1];
    struct resp_writer writer;
    struct slice name = key_of(wire, 'a', id, key);
    resp_begin(&writer, out, 7);
    word(&writer, "SET");
    resp_word(&writer, name);
    resp_word(&writer, place);
    word(&writer, "NX");
    word(&writer, "GET");
    word(&writer, "PX");
    resp_number(&writer, ttl_ms);
    bool is_said = resp_end(&writer);
    resp_begin(&writer, out, 3);
    word(&writer, "PEXPIRE");
    resp_word(&writer, name);
    resp_number(&writer, ttl_ms);
    return is_said & resp_end(&writer);
}

uint32_t redis_wire_lease_tag(const char *name)
{
    return crc32c(0, name, strlen(name)) % REDIS_TAGS;
}

bool redis_wire_lease(const struct redis_wire *wire, struct bytes *out, const struct lease_ask *ask)
{
    char key[KEY_MAX + WEIR_SESSION_NAME_MAX + 1], holder[17];
    struct resp_writer writer;
    const uint64_t numbers[] = {
        ask->number,      ask->held,         ask->wanted,
        ask->most,        ask->limit,        1000 * (uint64_t)ask->ttl_ms,
        ask->interval_ns, ask->tolerance_ns, ask->interval_ns > 0 ? ask->tokens : 0};
    snprintf(key, sizeof key, "%s:l:{%03x}:%s", wire->prefix,
             (unsigned)redis_wire_lease_tag(ask->name), ask->name);
    snprintf(holder, sizeof holder, "%llx", (unsigned long long)ask->holder);
    resp_begin(&writer, out, 5 + sizeof numbers / sizeof *numbers);
    word(&writer, "EVALSHA");
    word(&writer, wire->sha[REDIS_LEASE]);
    word(&writer, "1");
    word(&writer, key);
    word(&writer, holder);
    for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        resp_number(&writer, numbers[i]);
    }
    return resp_end(&writer);
}

/* --- hearing ------------------------------------------------------------------------------------
 */

/* Which of the answers it is; UINT64_MAX: none. */
static uint64_t kind_of(const struct resp_value *value, struct resp_walk *inside)
{
    uint64_t kind;
    if (value->type == RESP_NUMBER && value->number >= 0) {
        return (uint64_t)value->number;
    }
    return value->type == RESP_ARRAY && value->count > 0 && next_number(inside, &kind) ? kind
                                                                                       : UINT64_MAX;
}

static bool read_ended(struct resp_walk *inside, struct redis_verdict_of *ret)
{
    struct session_id to;
    struct slice text;
    if (!next_text(inside, &text) || !next_number(inside, &ret->left_ms)) {
        return false;
    }
    if (ident_parse(text, &to)) { /* whatever else it holds, it has ended */
        ret->successor = (weir_session_id){to.high, to.low};
    }
    return true;
}

static bool read_moved(struct resp_walk *inside, weir_session *ret)
{
    struct slice place;
    return next_text(inside, &place) && keep_name(place, ret->place)
           && next_u32(inside, &ret->epoch) && next_number(inside, &ret->bound_ms);
}

static void read_verdict(const struct resp_value *value, struct resp_walk *inside,
                         struct redis_verdict_of *ret)
{
    *ret = (struct redis_verdict_of){.session = {.size = sizeof ret->session}};
    bool is_sound = true;
    switch (kind_of(value, inside)) {
    case 0: ret->verdict = REDIS_MERGED; break;
    case 1:
        ret->verdict = REDIS_ENDED;
        is_sound = read_ended(inside, ret);
        break;
    case 2:
        ret->verdict = REDIS_MOVED_ON;
        is_sound = read_moved(inside, &ret->session);
        break;
    case 3: ret->verdict = REDIS_VANISHED; break;
    default: is_sound = false; break;
    }
    if (!is_sound) {
        ret->verdict = REDIS_REFUSED;
    }
}

void redis_wire_verdict(const struct resp_value *value, const struct resp_walk *inside,
                        struct redis_verdict_of *ret)
{
    struct resp_walk own = *inside;
    read_verdict(value, &own, ret);
}

bool redis_wire_verdicts(const struct resp_value *value, const struct resp_walk *inside,
                         struct redis_verdict_of *ret, uint32_t count, uint32_t *ret_spoilt)
{
    struct resp_walk own = *inside;
    struct resp_value each;
    bool is_fine = value->type == RESP_ARRAY
                   && (value->count == count || value->count == count + 1);
    *ret_spoilt = 0;
    for (uint32_t i = 0; i < count; i++) {
        ret[i].verdict = REDIS_REFUSED;
        if (is_fine && resp_next(&own, &each)) {
            redis_wire_verdict(&each, &own, &ret[i]);
            resp_pass(&own, &each);
        }
        is_fine = is_fine && ret[i].verdict != REDIS_REFUSED;
    }
    return is_fine && (value->count == count || next_u32(&own, ret_spoilt));
}

static bool read_head(struct resp_walk *inside, weir_session *ret)
{
    struct slice place;
    return next_number(inside, &ret->left_ms) && next_number(inside, &ret->age_ms)
           && next_number(inside, &ret->idle_ms) && next_text(inside, &place)
           && keep_name(place, ret->place) && next_u32(inside, &ret->epoch)
           && next_number(inside, &ret->bound_ms) && next_u32(inside, &ret->requests)
           && next_u32(inside, &ret->errors);
}

static bool read_attr(struct slice name, struct slice value, struct redis_found *ret)
{
    char longer[SESSION_ATTRS_MAX];
    bool fits;
    if (name.len == 0 || name.len > ATTRS_NAME_MAX || value.len > SESSION_ATTRS_MAX) {
        return false;
    }
    uint32_t len = attrs_with((struct slice){ret->attrs, (uint32_t)ret->attrs_len}, name, value,
                              longer, sizeof longer, &fits);
    if (fits) {
        memcpy(ret->attrs, longer, len);
        ret->attrs_len = len;
    }
    return fits;
}

static bool read_field(struct slice name, struct slice value, struct redis_found *ret)
{
    weir_session *session = &ret->session;
    char *names[] = {session->user, session->account, session->key};
    uint64_t status;
    if (name.len > 0 && name.at[0] == '@') {
        return read_attr(slice_sub(name, 1, name.len), value, ret);
    }
    for (unsigned i = 0; i < 3; i++) {
        if (slice_is(name, fields[i])) {
            return keep_name(value, names[i]);
        }
    }
    if (!slice_is(name, "st") || !text_parse_u64(value, &status) || status == 0
        || status >= WEIR_SESSION_STATUS_END) {
        return false;
    }
    session->status = (weir_session_status)status;
    return true;
}

weir_err redis_wire_found(const struct resp_value *value, struct resp_walk *inside,
                          struct redis_found *ret)
{
    struct slice name, text;
    *ret = (struct redis_found){
        .session = {.size = sizeof ret->session, .status = WEIR_SESSION_ACTIVE}};
    uint64_t kind = kind_of(value, inside);
    if (kind < 2) {
        return WEIR_ESTALE;
    }
    if (kind != 2 || !read_head(inside, &ret->session)) {
        return WEIR_EIO;
    }
    while (next_text(inside, &name)) {
        if (!next_text(inside, &text) || !read_field(name, text, ret)) {
            return WEIR_EIO;
        }
    }
    return WEIR_OK;
}

bool redis_wire_leased(const struct resp_value *value, struct resp_walk *inside,
                       struct lease_answer *ret)
{
    struct resp_value first;
    uint32_t is_short, is_lost;
    *ret = (struct lease_answer){0};
    if (value->type != RESP_ARRAY || value->count == 0) {
        return false;
    }
    struct resp_walk own = *inside;
    if (value->count == 1) {
        ret->is_late = resp_next(&own, &first) && first.type == RESP_NUMBER && first.number < 0;
        return ret->is_late;
    }
    bool is_sound = value->count == 6 && next_u32(inside, &ret->granted)
                    && next_u32(inside, &is_short) && next_u32(inside, &ret->holders)
                    && next_u32(inside, &ret->tokens) && next_u32(inside, &ret->early_ms)
                    && next_u32(inside, &is_lost) && ret->granted <= LEASE_LIMIT_MAX
                    && ret->tokens <= LEASE_LIMIT_MAX;
    ret->is_short = is_sound && is_short != 0;
    ret->is_lost = is_sound && is_lost != 0;
    return is_sound;
}

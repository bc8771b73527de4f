/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/takeover.h"

#include <string.h>

static const char magic[4] = {'w', 'e', 'i', 'r'};

static void put(char *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        at[i] = (char)(unsigned char)(value >> (8 * i));
    }
}

static uint64_t get(const char *at, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++) {
        value |= (uint64_t)(unsigned char)at[i] << (8 * i);
    }
    return value;
}

static bool is_plain(char byte)
{
    return (unsigned char)byte >= ' ' && (unsigned char)byte != 0x7f;
}

static size_t most_of(uint64_t kind)
{
    return kind == TAKEOVER_RECORDS ? TAKEOVER_RECORDS_MAX : TAKEOVER_TEXT_MAX;
}

size_t takeover_write(const struct takeover_message *message, char ret_bytes[TAKEOVER_MAX])
{
    bool is_any = message->kind == TAKEOVER_RECORDS;
    size_t most = most_of(message->kind);
    size_t len = message->text.len < most ? message->text.len : most;
    memcpy(ret_bytes, magic, sizeof magic);
    put(ret_bytes + 4, TAKEOVER_VERSION, 1);
    put(ret_bytes + 5, message->kind, 1);
    put(ret_bytes + 6, 0, 2);
    put(ret_bytes + 8, message->number, 4);
    put(ret_bytes + 12, message->pid, 4);
    put(ret_bytes + 16, message->count, 8);
    for (size_t i = 0; i < len; i++) {
        char byte = message->text.at[i];
        ret_bytes[TAKEOVER_HEAD + i] = is_any || is_plain(byte) ? byte : '?';
    }
    return TAKEOVER_HEAD + len;
}

enum takeover_read takeover_read(const char *bytes, size_t len,
                                 struct takeover_message *ret_message)
{
    if (len < TAKEOVER_HEAD || memcmp(bytes, magic, sizeof magic) != 0) {
        return TAKEOVER_BAD;
    }
    if (get(bytes + 4, 1) != TAKEOVER_VERSION) {
        return TAKEOVER_FOREIGN;
    }
    uint64_t kind = get(bytes + 5, 1);
    bool is_good = kind > 0 && kind < TAKEOVER_KINDS && get(bytes + 6, 2) == 0
                   && len - TAKEOVER_HEAD <= most_of(kind);
    for (size_t i = TAKEOVER_HEAD; is_good && kind != TAKEOVER_RECORDS && i < len; i++) {
        is_good = is_plain(bytes[i]);
    }
    if (!is_good) {
        return TAKEOVER_BAD;
    }
    *ret_message = (struct takeover_message){
        .kind = (enum takeover_kind)kind,
        .number = (uint32_t)get(bytes + 8, 4),
        .pid = (uint32_t)get(bytes + 12, 4),
        .count = get(bytes + 16, 8),
        .text = {bytes + TAKEOVER_HEAD, (uint32_t)(len - TAKEOVER_HEAD)},
    };
    return TAKEOVER_GOOD;
}

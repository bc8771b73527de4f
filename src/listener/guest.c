/* SPDX-License-Identifier: Apache-2.0 */
#include "listener/guest.h"

#include "base/check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static void pool_close(void *self, weir_conn conn, void *object, weir_err why)
{
    (void)self;
    (void)conn;
    struct guest *guest = object;
    guest->ops->close(guest, why);
}

static void pool_cut(void *self, weir_conn conn, void *object)
{
    (void)self;
    (void)conn;
    struct guest *guest = object;
    guest->ops->cut(guest);
}

static const weir_connector admitted = {
    .scheme = "http",
    .close = pool_close,
    .cut = pool_cut,
};

int guest_pool_open(weir_engine *engine, const char *name, uint32_t max_connections,
                    weir_pool **ret_pool)
{
    char pool_name[64];
    int len = snprintf(pool_name, sizeof pool_name, "listener:%s", name);
    if (len < 0 || (size_t)len >= sizeof pool_name) {
        return -EINVAL;
    }
    const weir_pool_options opt = {
        .size = sizeof opt,
        .name = pool_name,
        .connector = &admitted,
        .max_total = max_connections,
        .idle_timeout_ms = WEIR_NEVER,
        .max_age_ms = WEIR_NEVER,
    };
    weir_err err = weir_pool_open(engine, &opt, ret_pool);
    return err == WEIR_OK ? 0 : err == WEIR_ENOMEM ? -ENOMEM : -EINVAL;
}

void guest_pool_limit(weir_pool *pool, uint32_t max_connections)
{
    weir_pool_options opt;
    weir_pool_options_of(pool, &opt);
    opt.max_total = max_connections;
    weir_err err = weir_pool_update(pool, &opt);
    check(err == WEIR_OK);
}

weir_err guest_admit(weir_pool *pool, const char *scheme, const char *listener, const char *note,
                     struct guest *guest, weir_conn *ret_conn)
{
    const weir_key key = {.scheme = scheme, .host = listener};
    return weir_admit(pool, &key, note, guest, ret_conn);
}

int guest_fd(const void *object)
{
    const struct guest *guest = object;
    return guest->ops->fd != NULL ? guest->ops->fd(guest) : -1;
}

struct http_tunnel *guest_tunnel(const void *object)
{
    const struct guest *guest = object;
    return guest->ops->tunnel != NULL ? guest->ops->tunnel(guest) : NULL;
}

void guest_each_exchange(const void *object, guest_exchange_fn *fn, void *arg)
{
    const struct guest *guest = object;
    if (guest->ops->each != NULL) {
        guest->ops->each(guest, fn, arg);
    }
}

/* IPv4 is written by hand: inet_ntop() takes longer than the rest of a request's head. */
size_t guest_print(const uint8_t address[16], char ret_text[46])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    static const uint8_t none[16];
    char *at = ret_text;
    if (memcmp(address, none, sizeof none) == 0) {
        memcpy(ret_text, "unix", sizeof "unix");
        return sizeof "unix" - 1;
    }
    if (memcmp(address, mapped, sizeof mapped) != 0) {
        inet_ntop(AF_INET6, address, ret_text, 46);
        return strlen(ret_text);
    }
    for (int i = 12; i < 16; i++) {
        unsigned byte = address[i];
        if (byte >= 100) {
            *at++ = (char)('0' + byte / 100);
        }
        if (byte >= 10) {
            *at++ = (char)('0' + byte / 10 % 10);
        }
        *at++ = (char)('0' + byte % 10);
        *at++ = i < 15 ? '.' : '\0';
    }
    return (size_t)(at - ret_text) - 1;
}

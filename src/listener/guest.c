/* SPDX-License-Identifier: Apache-2.0 */
#include "listener/guest.h"

#include "base/check.h"

#include <errno.h>
#include <stdio.h>

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

/* SPDX-License-Identifier: Apache-2.0
 *
 * guest.h - what the pool of a listener knows of a client: the first member of a client's record,
 * whichever protocol it speaks. So one pool, "listener:NAME", holds the clients of all protocols of
 * a listener.
 */
#pragma once
#include <weir/weir.h>

#include <stddef.h>
#include <stdint.h>

struct guest;
struct http_exchange;
struct http_tunnel;

typedef void guest_exchange_fn(void *arg, uint32_t stream, const struct http_exchange *ex);

struct guest_ops {
    void (*close)(struct guest *guest, weir_err why); /* to be answered by weir_conn_down() */
    void (*cut)(struct guest *guest);                 /* shut down, do not free */
    int (*fd)(const struct guest *guest);             /* its descriptor; -1: it has none */
    /* What it has become (proto/http.h), or NULL. NULL where it never does. */
    struct http_tunnel *(*tunnel)(const struct guest *guest);
    /* Tells of each exchange whose handler still hears of it, with its stream's number. NULL with
     * HTTP/1.x. */
    void (*each)(const struct guest *guest, guest_exchange_fn *fn, void *arg);
};

struct guest {
    const struct guest_ops *ops;
};

/* The pool of a listener: it counts, lists and limits; times are the readers' own. `name` is the
 * listener's. 0 or -errno. */
int guest_pool_open(weir_engine *engine, const char *name, uint32_t max_connections,
                    weir_pool **ret_pool);
void guest_pool_limit(weir_pool *pool, uint32_t max_connections);

/* Makes a client known to it. */
weir_err guest_admit(weir_pool *pool, const char *scheme, const char *listener, const char *note,
                     struct guest *guest, weir_conn *ret_conn);

/* `object` is what the pool of a listener knows. */
int guest_fd(const void *object); /* -1: it has none */
struct http_tunnel *guest_tunnel(const void *object);
void guest_each_exchange(const void *object, guest_exchange_fn *fn, void *arg);

/* "192.0.2.7", "2001:db8::7", "unix"; its length. */
size_t guest_print(const uint8_t address[16], char ret_text[46]);

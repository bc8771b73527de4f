/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_url.h - where a Redis is, and who we are there, as one text:
 *
 *     redis[s]://[[user]:password@]host[:port][/database]
 *
 * and where its Sentinels are, or some nodes of a Cluster:
 *
 *     redis[s]://[[user]:password@]host[:port][,host[:port]]…
 *
 * User and password are percent-encoded where they hold ":", "@", "/" or "%". Pure; all texts of a
 * URL that was parsed lie in its own room.
 */
#pragma once
#include "base/text.h"

#define REDIS_URL_MAX       1024U
#define REDIS_PORT          6379U
#define REDIS_DATABASE      65535U /* the last one that can be named */
#define REDIS_SENTINEL_PORT 26379U
#define REDIS_HOSTS_MAX     16U

struct redis_url {
    bool is_tls;
    bool has_port; /* it is said */
    uint16_t port;
    uint32_t database;
    const char *host;            /* without brackets */
    const char *user, *password; /* NULL: none */
    char room[REDIS_URL_MAX + 8];
};

struct redis_hosts_url {
    bool is_tls;
    uint32_t count;
    struct {
        const char *host;
        uint16_t port;
    } at[REDIS_HOSTS_MAX];
    const char *user, *password;
    char room[REDIS_URL_MAX + 8];
};

/* False: it is none. */
bool redis_url_parse(const char *text, struct redis_url *ret_url);
/* `port`: of those that say none. */
bool redis_hosts_url_parse(const char *text, uint16_t port, struct redis_hosts_url *ret_url);

/* SPDX-License-Identifier: Apache-2.0
 *
 * secure.h - the TLS of a gateway: what its configuration says of certificates, at work on every
 * worker, and replaced when the files change.
 *
 * Tickets of a listener are sealed with the same keys on all workers. A file that changed is read
 * again by the hub's thread; where the new one is no good the old one stays, and the log says why.
 */
#pragma once
#include "base/log.h"
#include "gateway/config.h"
#include "io/loop.h"
#include "io/tls_profile.h"

#include <stdbool.h>
#include <stdint.h>

#define SECURE_LOOK_MS 5000U /* between two looks at the files */

/* 0, or -errno and why. Blocking. */
int secure_listener_profile(const struct config_listener *listener,
                            struct tls_profile **ret_profile, struct tls_fault *ret_fault);
int secure_upstream_profile(const struct config_upstream *upstream,
                            struct tls_profile **ret_profile, struct tls_fault *ret_fault);
int secure_proxy_profile(const struct config_upstream *upstream, struct tls_profile **ret_profile,
                         struct tls_fault *ret_fault);
/* Has it an endpoint of https://? */
bool secure_is_needed(const struct config_upstream *upstream);
/* Is its proxy, or an account's, one of https://? */
bool secure_is_needed_by_proxy(const struct config_upstream *upstream);

struct secure;

/* `elder`: that of the configuration before, or NULL. What has the same name in both (its sessions
 * to resume, its figures) goes on being the elder's until secure_take_over(). 0, or -errno and why.
 * The configuration outlives it. */
int secure_open(const struct config *config, uint32_t workers, const struct secure *elder,
                struct secure **ret_secure, struct tls_fault *ret_fault);
/* From now on these certificates are shown, and those authorities trusted; the elder watches no
 * files any more. Hub's thread. */
void secure_take_over(struct secure *secure, struct secure *elder, const struct log_sink *log);
/* After the workers' last stream. */
void secure_close(struct secure *take_secure);
/* One worker's part, before it runs or on its thread. */
int secure_join(struct secure *secure, uint32_t worker, struct loop *loop);

/* NULL where there is no TLS. */
struct tls_desk *secure_desk(const struct secure *secure, uint32_t worker);
struct tls_server *secure_server(const struct secure *secure, uint32_t worker, uint32_t listener);
struct tls_client *secure_client(const struct secure *secure, uint32_t worker, uint32_t upstream);
/* TLS with the proxy of an upstream. */
struct tls_client *secure_proxy(const struct secure *secure, uint32_t worker, uint32_t upstream);
/* For keys: who an upstream is reached as, and how; NULL. It stays while the gateway runs. */
const char *secure_fingerprint(const struct secure *secure, uint32_t upstream);
/* Hub's thread: what is in use now; NULL where there is no TLS. */
const struct tls_profile *secure_of_listener(const struct secure *secure, uint32_t listener);
const struct tls_profile *secure_of_upstream(const struct secure *secure, uint32_t upstream);

/* Reads what has changed, all of it with `all`; how many profiles were replaced. Hub's thread. */
uint32_t secure_reload(struct secure *secure, bool all, const struct log_sink *log);
void secure_watch_no_more(struct secure *secure);
/* From now on, every SECURE_LOOK_MS. */
void secure_watch(struct secure *secure, struct loop *hub, const struct log_sink *log);

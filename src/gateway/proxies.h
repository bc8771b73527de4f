/* SPDX-License-Identifier: Apache-2.0
 *
 * proxies.h - the outbound proxies of a configuration, each once, whoever names it: its limits and
 * its figures, shared by all workers. Two texts are two proxies where anything differs, the
 * password, too.
 */
#pragma once
#include "connector/gate.h"
#include "gateway/config.h"
#include "proto/prom.h"

struct census;

#define PROXIES_NAME_MAX 300U

struct proxies;
/* `elder`: those of the configuration before, or NULL; a proxy that both name is one. 0 or -ENOMEM.
 */
int proxies_new(const struct config *config, const struct proxies *elder,
                struct proxies **ret_proxies);
/* Connections through one may outlive them. */
void proxies_free(struct proxies *take_proxies);

/* Of an upstream and its accounts, each once; lives as long as the proxies. */
struct gate *const *proxies_gates(const struct proxies *proxies, uint32_t upstream,
                                  uint32_t *ret_count);

/* "socks5://host:port": a proxy without user and password. */
void proxies_name(const char *proxy, char ret_name[PROXIES_NAME_MAX]);

void proxies_metrics_write(struct proxies *proxies, const struct census *census, struct prom *prom);

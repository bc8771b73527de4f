/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics_accounts.h - what is known of each account of each upstream. */
#pragma once
#include "proto/prom.h"

struct server;

void metrics_accounts_write(const struct server *server, struct prom *prom);

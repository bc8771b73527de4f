/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_upgrade.h - POST /api/v1/upgrade, answered once it is known how it went; and what the page
 * of the process says of others: the one before, the one after.
 */
#pragma once
#include "gateway/admin_page.h"
#include "proto/json.h"

/* Members of the page's object. */
void admin_upgrade_members(struct json *json, const struct server *server);

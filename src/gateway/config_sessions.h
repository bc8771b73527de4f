/* SPDX-License-Identifier: Apache-2.0
 *
 * config_sessions.h - whether the options of `sessions` fit together, and which stores they mean.
 * Called by config_check() once all routes have been looked at.
 */
#pragma once
#include <weir/session.h>

#include "gateway/config_check.h"

/* Shortest secret that is written rather than made. */
#define SESSIONS_SECRET_MIN 16U
#define SESSIONS_FSYNC_MS   10U /* where nothing is written */

/* As the library takes it. */
weir_sessions_redis config_sessions_redis(const struct config_sessions *config);

void config_check_sessions(const struct config *config, const struct config_places *places,
                           bool opens_files, struct config_faults *faults);

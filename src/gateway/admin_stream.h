/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_stream.h - how an answer of the admin interface begins that goes on: server-sent events.
 */
#pragma once
#include "proto/http.h"

/* 200, and whatever is given from then on until the exchange is finished. */
void admin_stream_begin(struct http_exchange *exchange);

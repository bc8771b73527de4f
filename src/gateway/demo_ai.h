/* SPDX-License-Identifier: Apache-2.0
 *
 * demo_ai.h - an AI API to try accounts with, served by this program itself.
 *
 *     POST /v1/messages        an answer as Anthropic's API gives it, with usage
 *     … with "stream": true    the same as an event stream, word by word
 *
 * It knows accounts by x-api-key. The key DEMO_AI_KEY_SMALL is good for DEMO_AI_SMALL requests each
 * DEMO_AI_WINDOW_MS; beyond, it is told 429 and until when (Retry-After). Any other key is good for
 * everything.
 */
#pragma once
#include "io/loop.h"

#include <stdint.h>

#define DEMO_AI_KEY_SMALL "demo-small"
#define DEMO_AI_SMALL     3U
#define DEMO_AI_WINDOW_MS 20000U

struct demo_ai;

/* On 127.0.0.1, on a port that the kernel chooses. 0 or -errno. */
int demo_ai_open(struct loop *loop, struct demo_ai **ret_ai);
void demo_ai_close(struct demo_ai *take_ai);
uint16_t demo_ai_port(const struct demo_ai *ai);

/* SPDX-License-Identifier: Apache-2.0 */
#include "connector/replay.h"

bool replay_stale(const struct replay_case *it)
{
    if (it->answer_begun || !it->at_hand) {
        return false;
    }
    if (it->untouched) {
        return it->replays + 1 < (it->refused ? REPLAY_TRIES_MAX : REPLAY_ENDS_MAX);
    }
    if (!it->reused || it->replays > 0) {
        return false;
    }
    return it->sent == 0 || it->harmless;
}

bool replay_is_free(const struct replay_case *it)
{
    return it->untouched && (it->replays == 0 || !it->refused);
}

bool replay_code(uint16_t status, bool harmless)
{
    return harmless || status == 429 || status == 503 || status == 529;
}

bool replay_is_harmless(const struct http_head *head)
{
    switch ((enum http_method)head->method_id) {
    case HTTP_GET:
    case HTTP_HEAD:
    case HTTP_PUT:
    case HTTP_DELETE:
    case HTTP_OPTIONS:
    case HTTP_TRACE: return true;
    case HTTP_METHOD_OTHER:
    case HTTP_POST:
    case HTTP_PATCH:
    case HTTP_CONNECT: break;
    }
    return http_has(head, HTTP_IDEMPOTENCY_KEY);
}

void replay_budget_init(struct replay_budget *budget, double part, uint64_t now_ms)
{
    *budget = (struct replay_budget){.part_milli = (uint32_t)(part * 1000 + 0.5),
                                     .saved_milli = (uint64_t)REPLAY_SAVED_MAX * 1000,
                                     .since_ms = now_ms};
}

bool replay_budget_take(struct replay_budget *budget, uint64_t now_ms)
{
    uint64_t most = UINT64_C(1000) * REPLAY_SAVED_MAX;
    uint64_t elapsed_ms = now_ms - budget->since_ms;
    if (elapsed_ms > most) {
        elapsed_ms = most;
    }
    budget->since_ms = now_ms;
    budget->saved_milli += elapsed_ms * REPLAY_PER_SECOND;
    if (budget->saved_milli > most) {
        budget->saved_milli = most;
    }
    if (budget->saved_milli < 1000) {
        return false;
    }
    budget->saved_milli -= 1000;
    return true;
}

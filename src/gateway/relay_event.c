/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/relay_event.h"

#include "base/check.h"

const char *relay_event_word(enum relay_event_kind kind)
{
    static const char *const words[] = {
#define RELAY_EVENT_WORD(name, word) word,
        RELAY_EVENTS(RELAY_EVENT_WORD)
#undef RELAY_EVENT_WORD
    };
    check(kind < RELAY_EVENT_KINDS);
    return words[kind];
}

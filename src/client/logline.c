/* SPDX-License-Identifier: Apache-2.0
 *
 * logline.c - the log of a runtime: events of its pools that matter enough, as lines, for the
 * function that the program gave. It stands before the program's listener of events; pools queue
 * what one of the two wants to hear.
 */
#include "client/runtime.h"

enum { LINE_MAX_BYTES = 1024 }; /* a longer one, of a very long key, is cut */

/* What happens with every request; only DEBUG asks for it. */
#define OFTEN                                                                                      \
    (1U << WEIR_EVENT_CONNECTION_ADDED | 1U << WEIR_EVENT_CONNECTION_REMOVED                       \
     | 1U << WEIR_EVENT_CONNECTION_REUSED | 1U << WEIR_EVENT_CONNECTION_RETURNED)

static void hear(void *self, const weir_event *event)
{
    struct weir_runtime *runtime = self;
    const struct logline *behind = &runtime->logline;
    weir_level level = weir_event_level(event);
    if (level <= runtime->opt.log_level) {
        char line[LINE_MAX_BYTES];
        weir_event_text(event, line, sizeof line);
        runtime->opt.log(runtime->opt.log_arg, level, line);
    }
    if (behind->on_event != NULL && (behind->events >> event->kind & 1)) {
        behind->on_event(behind->event_arg, event);
    }
}

void logline_attach(struct weir_runtime *runtime)
{
    weir_runtime_options *opt = &runtime->opt;
    if (opt->log == NULL) {
        return;
    }
    uint32_t heard = opt->events != 0 ? opt->events : UINT32_MAX;
    runtime->logline = (struct logline){opt->on_event, opt->event_arg, heard};
    uint32_t logged = opt->log_level == WEIR_LEVEL_DEBUG ? UINT32_MAX : ~OFTEN;
    opt->events = logged | (opt->on_event != NULL ? heard : 0);
    opt->on_event = hear;
    opt->event_arg = runtime;
}

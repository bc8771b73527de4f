/* SPDX-License-Identifier: Apache-2.0
 *
 * sessions.c - requirement 004: sessions that stay with their account, are found by user, account
 * and key, and outlive the process. Run it twice with the same folder.
 */
#include <weir/session.h>

#include "example.h"

static bool show(void *arg, const weir_session *session)
{
    (void)arg;
    printf("%s: account %s, served by %s, %u requests, %u errors, %s\n", session->user,
           session->account, session->bound_ms > 0 ? session->place : "nobody",
           (unsigned)session->requests, (unsigned)session->errors,
           weir_session_status_word(session->status));
    return true;
}

static void on_event(void *arg, weir_session_event_kind kind, weir_session_id id)
{
    (void)arg, (void)id;
    printf("event: %s\n", weir_session_event_word(kind));
}

/* A request of a conversation: the first account that is free has it, and keeps it. */
static void serve(weir_sessions *sessions, weir_session_id id, const char *free_account, bool works)
{
    weir_session_place place;
    weir_err err = weir_session_claim(sessions, id, free_account, &place);
    if (err == WEIR_EEXISTS && !works) { /* the account it is bound to has failed: elsewhere */
        must(weir_session_rebind(sessions, id, place.epoch, free_account, &place), "rebind");
    }
    printf("served by %s\n", place.name);
    must(weir_session_touch(sessions, id, works), "touch");
}

int main(int argc, char **argv)
{
    weir_sessions *sessions;
    weir_session_id id;
    need(argc > 1, "sessions FOLDER");
    const weir_sessions_options opt = {.path = argv[1], .on_event = on_event}; /* 1 h; 30 min */
    must(weir_sessions_open(&opt, &sessions), "sessions");

    /* The client's own key is as good as an id; another tenant's equal key is another session. */
    must(weir_session_id_of(sessions, "team-a", "conversation-7", 14, &id), "id");
    weir_session_new what = {.id = id, .user = "ann", .account = "a1", .key = "team-a"};
    weir_err err = weir_session_create(sessions, &what, &id);
    printf("%s\n", err == WEIR_OK ? "a new session" : weir_err_word(err));

    serve(sessions, id, "a1", true);
    serve(sessions, id, "a2", true);  /* it stays where it was */
    serve(sessions, id, "a2", false); /* its account fails: it moves */
    must(weir_session_set(sessions, id, "model", "opus", 4), "attribute");
    weir_sessions_find(sessions, &(weir_session_query){.account = "a1"}, show, NULL);

    weir_sessions_stats stats = {.size = sizeof stats};
    weir_sessions_stats_of(sessions, &stats);
    printf("live %u, created %d, recovered %d, moved %d\n", (unsigned)stats.live,
           (int)stats.created, (int)stats.recovered, (int)stats.rebound);
    weir_sessions_close(sessions);
    return 0;
}

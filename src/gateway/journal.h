/* SPDX-License-Identifier: Apache-2.0
 *
 * journal.h - the program's own log: what happened to it, not to each request. It goes to stderr.
 *
 * Where that is systemd's journal (JOURNAL_STREAM names it), each line begins with its priority, as
 * sd-daemon(3) has it: "<4>"; the journal takes that away and files the line under it.
 *
 * Every thread that speaks has a voice, and a voice is a log_sink for whatever it calls. A line is
 * built only when log.level asks for it, and a thread never waits for it to be written.
 */
#pragma once
#include "base/log.h"
#include "gateway/config.h"

struct journal;
struct notify_ring;

struct journal_voice {
    struct log_sink sink;
    struct notify_ring *ring; /* NULL: silent */
    enum config_log_format format;
    bool has_priority; /* each line begins with it */
};

/* 0 or -errno. */
int journal_open(const struct config *config, struct journal **ret_journal);
void journal_close(struct journal *journal); /* nobody speaks any more */
/* Voices to come go by that configuration's level and format. */
void journal_obey(struct journal *journal, const struct config *config);
/* So does this one, from now on; on its thread. */
void journal_voice_obey(struct journal_voice *voice, const struct config *config);
void journal_reopen(struct journal *journal);
uint64_t journal_dropped(const struct journal *journal);

/* A voice for one thread, made by any. It is silent where there is no memory for more. */
void journal_join(struct journal *journal, struct journal_voice *ret_voice);

/* SPDX-License-Identifier: Apache-2.0
 *
 * journal.c - lines: a stamp, and what base/log makes of level, word and fields.
 */
#include "gateway/journal.h"

#include "io/clock.h"
#include "io/notify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct journal {
    struct notify *notify;
    enum log_level most;
    enum config_log_format format;
    bool has_priority;
};

#define LINE_MAX_BYTES 4096U

static bool is_systemds(void)
{
    const char *stream = getenv("JOURNAL_STREAM"); /* NOLINT(concurrency-mt-unsafe): as it began */
    struct stat info;
    char text[64];
    if (stream == NULL || fstat(STDERR_FILENO, &info) != 0)
        return false;
    snprintf(text, sizeof(text), "%llu:%llu", (unsigned long long)info.st_dev,
             (unsigned long long)info.st_ino);
    return strcmp(text, stream) == 0;
}

/* Of syslog(3). */
static unsigned priority_of(enum log_level level)
{
    switch (level) {
    case LOG_ERROR_LEVEL: return 3;
    case LOG_WARN_LEVEL: return 4;
    case LOG_INFO_LEVEL: return 6;
    default: return 7;
    }
}

static void voice_write(void *self, enum log_level level, const char *what,
                        const struct log_field *fields, size_t count)
{
    struct journal_voice *voice = self;
    struct bytes line;
    char stamp[CLOCK_STAMP + 1];
    if (voice->ring == NULL)
        return;
    bool json = voice->format == LOG_FORMAT_JSON;
    clock_stamp(clock_wall_ms(), stamp);
    bytes_init(&line, &alloc_libc, LINE_MAX_BYTES);
    if (voice->has_priority)
        bytes_printf(&line, "<%u>", priority_of(level));
    bool whole = bytes_printf(&line, json ? "{\"time\":\"%s\"," : "%s ", stamp)
                 && (json ? log_line_json(&line, level, what, fields, count)
                          : log_line_plain(&line, level, what, fields, count))
                 && (!json || bytes_append_text(&line, "}"));
    if (whole)
        notify_line(voice->ring, bytes_at(&line), bytes_len(&line));
    bytes_fini(&line);
}

int journal_open(const struct config *config, struct journal **ret_journal)
{
    struct notify_options opt = {.target = "stderr"};
    struct journal *journal = calloc(1, sizeof(*journal));
    if (journal == NULL)
        return -ENOMEM;
    journal_obey(journal, config);
    journal->has_priority = is_systemds();
    int error = notify_open(&opt, &journal->notify);
    if (error != 0) {
        free(journal);
        return error;
    }
    *ret_journal = journal;
    return 0;
}

void journal_close(struct journal *journal)
{
    if (journal == NULL)
        return;
    notify_close(journal->notify);
    free(journal);
}

void journal_obey(struct journal *journal, const struct config *config)
{
    journal->most = config->log.level;
    journal->format = config->log.format;
}

void journal_voice_obey(struct journal_voice *voice, const struct config *config)
{
    voice->sink.most = config->log.level;
    voice->format = config->log.format;
}

void journal_reopen(struct journal *journal)
{
    notify_reopen(journal->notify);
}

uint64_t journal_dropped(const struct journal *journal)
{
    return notify_dropped(journal->notify);
}

void journal_join(struct journal *journal, struct journal_voice *ret_voice)
{
    *ret_voice = (struct journal_voice){
        .sink = {.write = voice_write, .self = ret_voice, .most = journal->most},
        .ring = notify_join(journal->notify),
        .format = journal->format,
        .has_priority = journal->has_priority};
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/successor.h"

#include "base/alloc.h"
#include "io/clock.h"
#include "io/oserror.h"
#include "io/passage.h"
#include "proto/takeover.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COPY_MS    60000U /* a million sessions, and a slow disk */
#define SILENCE_MS 10000U /* the other one has everything at hand: it is not silent for longer */

struct successor {
    struct passage *passage; /* NULL: the other one is gone */
    struct successor_ops ops;
    struct successor_info info;
    bool is_in_charge, is_asking;
    int sessions; /* a copy of them, or -1 */
};

static int fault_of(char *ret_fault, int error, const char *what)
{
    snprintf(ret_fault, SUCCESSOR_FAULT_MAX, "cannot take over: %s%s%s", what,
             error == -EPROTO ? "" : ": ", error == -EPROTO ? "" : oserror_text(error));
    return error;
}

int successor_begin(struct successor **ret_successor, char ret_fault[SUCCESSOR_FAULT_MAX])
{
    const char *text = getenv(SUCCESSOR_WORD); /* NOLINT(concurrency-mt-unsafe): as it begins */
    uint64_t fd;
    *ret_successor = NULL;
    if (text == NULL)
        return 0;
    bool is_number = text_parse_u64(slice_of(text), &fd) && fd > STDERR_FILENO && fd <= INT32_MAX;
    unsetenv(SUCCESSOR_WORD); /* NOLINT(concurrency-mt-unsafe): likewise */
    if (!is_number)
        return fault_of(ret_fault, -EINVAL, SUCCESSOR_WORD);
    struct successor *successor = alloc_zeroed(&alloc_libc, sizeof(*successor));
    int error = successor == NULL ? -ENOMEM : passage_open((int)fd, &successor->passage);
    if (error != 0) {
        alloc_free(&alloc_libc, successor);
        return fault_of(ret_fault, error, "the passage to the process that serves");
    }
    successor->sessions = -1;
    *ret_successor = successor;
    return 0;
}

void successor_end(struct successor *take_successor)
{
    if (take_successor != NULL) {
        passage_close(take_successor->passage);
        if (take_successor->sessions >= 0)
            close(take_successor->sessions);
        alloc_free(&alloc_libc, take_successor);
    }
}

/* --- what it is offered --------------------------------------------------------------------------
 */

static void greeted(struct successor *successor, const struct takeover_message *message)
{
    successor->info.generation = message->number + 1;
    successor->info.pid = message->pid;
    successor->info.failed = message->count;
}

static int add_socket(struct inherited *inherited, struct slice name, int take_fd)
{
    char text[INHERITED_NAME_MAX];
    slice_copy(text, sizeof(text), name);
    return take_fd >= 0 ? inherited_add(inherited, take_fd, text) : -EPROTO;
}

/* A message of those that are expected now; 1: the offer is whole. */
static int hear(struct successor *successor, struct inherited *inherited,
                const struct takeover_message *message, int take_fd)
{
    bool is_greeted = successor->info.generation > 0;
    if (message->kind == TAKEOVER_LENT && successor->is_asking) {
        successor->sessions = take_fd;
        return 1;
    }
    if (message->kind == TAKEOVER_SOCKET && is_greeted)
        return add_socket(inherited, message->text, take_fd);
    if (take_fd >= 0)
        close(take_fd);
    if (message->kind == TAKEOVER_HELLO && !is_greeted && message->number < UINT32_MAX) {
        greeted(successor, message);
        return 0;
    }
    return message->kind == TAKEOVER_OFFERED && is_greeted
                   && message->count == inherited_count(inherited)
               ? 1
               : -EPROTO;
}

static int say(struct successor *successor, const struct takeover_message *message)
{
    char bytes[TAKEOVER_MAX];
    return passage_send(successor->passage, bytes, takeover_write(message, bytes), -1);
}

/* Until something is whole: the sockets, then the sessions. */
static int hear_all(struct successor *successor, struct inherited *inherited, uint32_t silence_ms,
                    char ret_fault[SUCCESSOR_FAULT_MAX])
{
    char bytes[TAKEOVER_MAX];
    struct takeover_message message;
    int error = 0;
    while (error == 0) {
        int fd = -1;
        ssize_t len = passage_wait(successor->passage, clock_now_ms() + silence_ms, bytes,
                                   sizeof(bytes), &fd);
        if (len <= 0)
            return fault_of(ret_fault, len < 0 ? (int)len : -ECONNRESET, "the process that serves");
        enum takeover_read read = takeover_read(bytes, (size_t)len, &message);
        if (read == TAKEOVER_GOOD) {
            error = hear(successor, inherited, &message, fd);
            continue;
        }
        if (fd >= 0)
            close(fd);
        return fault_of(ret_fault, -EPROTO,
                        read == TAKEOVER_FOREIGN
                            ? "the process that serves is of a version that offers it otherwise; "
                              "restart it instead"
                            : "it was sent what is no offer");
    }
    return error > 0 ? 0 : fault_of(ret_fault, error, "it was offered what cannot be");
}

int successor_receive(struct successor *successor, struct inherited *inherited, bool has_sessions,
                      char ret_fault[SUCCESSOR_FAULT_MAX])
{
    const struct takeover_message wanted = {.kind = TAKEOVER_WANTED};
    int error = hear_all(successor, inherited, SILENCE_MS, ret_fault);
    if (error != 0 || !has_sessions)
        return error;
    successor->is_asking = true;
    error = say(successor, &wanted);
    return error == 0 ? hear_all(successor, inherited, COPY_MS, ret_fault)
                      : fault_of(ret_fault, error, "the process that serves");
}

int successor_take_sessions(struct successor *successor)
{
    int fd = successor != NULL ? successor->sessions : -1;
    if (successor != NULL)
        successor->sessions = -1;
    return fd;
}

/* --- what it says --------------------------------------------------------------------------------
 */

void successor_refuse(struct successor *successor, const char *why)
{
    if (successor != NULL && successor->passage != NULL)
        say(successor, &(struct takeover_message){.kind = TAKEOVER_FAILED, .text = slice_of(why)});
}

static void on_message(void *self, const char *bytes, size_t len, int take_fd)
{
    struct successor *successor = self;
    struct takeover_message message;
    bool is_good = takeover_read(bytes, len, &message) == TAKEOVER_GOOD;
    if (is_good && message.kind == TAKEOVER_TOTALS && take_fd >= 0) {
        successor->ops.totals(successor->ops.self, take_fd);
        return;
    }
    if (take_fd >= 0)
        close(take_fd);
    if (!is_good)
        return;
    if (message.kind == TAKEOVER_TAKEN && !successor->is_in_charge) {
        successor->is_in_charge = true;
        successor->info.since_wall_ms = clock_wall_ms();
        successor->ops.in_charge(successor->ops.self);
    } else if (message.kind == TAKEOVER_RECORDS) {
        successor->ops.records(successor->ops.self, message.text);
    } else if (message.kind == TAKEOVER_STEERED) {
        successor->ops.steered(successor->ops.self, message.number, message.text);
    } else if (message.kind == TAKEOVER_COOLING) {
        successor->ops.cooling(successor->ops.self, message.number, message.count, message.text);
    } else if (message.kind == TAKEOVER_LEFT) {
        successor->info.clients = message.count;
    }
}

static void on_end(void *self)
{
    struct successor *successor = self;
    passage_close(successor->passage);
    successor->passage = NULL;
    successor->info.pid = 0;
    successor->info.clients = 0;
    if (successor->is_in_charge)
        successor->ops.alone(successor->ops.self);
    else
        successor->ops.left(successor->ops.self);
}

int successor_ready(struct successor *successor, struct loop *loop, const struct successor_ops *ops)
{
    const struct passage_ops passage = {.message = on_message, .end = on_end, .self = successor};
    successor->ops = *ops;
    int error = say(successor, &(struct takeover_message){.kind = TAKEOVER_READY,
                                                          .number = successor->info.generation,
                                                          .pid = (uint32_t)getpid(),
                                                          .text = SLICE(WEIR_VERSION)});
    if (error == 0)
        passage_listen(successor->passage, loop, &passage);
    return error;
}

void successor_info(const struct successor *successor, struct successor_info *ret_info)
{
    *ret_info = successor != NULL ? successor->info : (struct successor_info){.generation = 1};
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * A ring is a circle of bytes that holds whole lines: the speaker moves `tail` past a line only
 * when all of it is there, the writer moves `head` past what it has written.
 *
 * The writer dozes (wakes every DOZE_MS to look) while lines come, and sleeps when a doze found
 * none. A speaker therefore rings the bell, which is a system call, only for a sleeper, or when its
 * ring has just become half full. The two sides agree by a store and a load each, all of them
 * sequentially consistent: the speaker publishes a line, then asks whether the writer sleeps; the
 * writer says that it sleeps, then looks for lines once more.
 */
#include "io/notify.h"

#include "base/check.h"
#include "io/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define DOZE_MS       50
#define CLOSE_WAIT_MS 1000U

#define LINE_OF_CACHE 64

struct notify_ring {
    struct notify *notify;
    char *base;
    uint32_t mask;
    bool skipping; /* the writer's: the rest of a line whose beginning was refused */
    char apart[LINE_OF_CACHE];
    _Atomic uint32_t tail; /* the speaker's: bytes put in, wrapping */
    bool is_half_full;     /* the bell was rung for it */
    _Atomic uint64_t dropped;
    char apart_too[LINE_OF_CACHE];
    _Atomic uint32_t head; /* the writer's: bytes taken out, wrapping */
};

struct notify {
    const struct alloc *alloc;
    char *path; /* NULL: stdout or stderr */
    int fd;
    int bell;        /* an eventfd */
    bool waits;      /* a pipe or a terminal: written a piece at a time when it is ready */
    bool is_midline; /* what was written last is no line's end */
    bool torn;       /* and its rest was refused */
    uint32_t ring_bytes;
    pthread_t writer;
    pthread_mutex_t joining;
    _Atomic uint32_t rings_count;
    struct notify_ring *rings[NOTIFY_RINGS_MAX];
    _Atomic bool sleeps;
    _Atomic bool closing;
    _Atomic bool reopening;
    _Atomic uint64_t close_by_ms;
    _Atomic uint64_t written, refused;
};

static void *run_writer(void *arg);
static int target_open(struct notify *notify, const char *target);
static void ring_bell(struct notify *notify);
static void dispose(struct notify *notify);

/* --- life ---------------------------------------------------------------------------------------
 */

static uint32_t power_of_two(uint32_t bytes)
{
    uint32_t size = 4096;
    while (size < bytes && size < (1U << 30)) {
        size *= 2;
    }
    return size;
}

/* The writer takes no signals: they are for whoever runs the program. */
static int start_writer(struct notify *notify)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&notify->writer, NULL, run_writer, notify);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -error;
}

int notify_open(const struct notify_options *opt, struct notify **ret_notify)
{
    const struct alloc *alloc = opt->alloc != NULL ? opt->alloc : &alloc_libc;
    struct notify *notify = alloc_zeroed(alloc, sizeof *notify);
    if (notify == NULL) {
        return -ENOMEM;
    }
    notify->alloc = alloc;
    notify->fd = -1;
    notify->ring_bytes = power_of_two(opt->ring_bytes > 0 ? opt->ring_bytes : NOTIFY_RING_BYTES);
    pthread_mutex_init(&notify->joining, NULL);
    notify->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int error = notify->bell < 0 ? -errno : target_open(notify, opt->target);
    if (error == 0) {
        error = start_writer(notify);
    }
    if (error != 0) {
        dispose(notify);
        return error;
    }
    *ret_notify = notify;
    return 0;
}

void notify_close(struct notify *notify)
{
    notify->close_by_ms = clock_now_ms() + CLOSE_WAIT_MS;
    notify->closing = true;
    ring_bell(notify);
    pthread_join(notify->writer, NULL);
    dispose(notify);
}

static void dispose(struct notify *notify)
{
    for (uint32_t i = 0; i < notify->rings_count; i++) {
        alloc_free(notify->alloc, notify->rings[i]->base);
        alloc_free(notify->alloc, notify->rings[i]);
    }
    if (notify->path != NULL && notify->fd >= 0) {
        close(notify->fd);
    }
    if (notify->bell >= 0) {
        close(notify->bell);
    }
    pthread_mutex_destroy(&notify->joining);
    alloc_free(notify->alloc, notify->path);
    alloc_free(notify->alloc, notify);
}

struct notify_ring *notify_join(struct notify *notify)
{
    struct notify_ring *ring = NULL;
    pthread_mutex_lock(&notify->joining);
    uint32_t count = notify->rings_count;
    if (count < NOTIFY_RINGS_MAX) {
        ring = alloc_zeroed(notify->alloc, sizeof *ring);
    }
    if (ring != NULL) {
        ring->notify = notify;
        ring->mask = notify->ring_bytes - 1;
        ring->base = alloc_new(notify->alloc, notify->ring_bytes);
        if (ring->base == NULL) {
            alloc_free(notify->alloc, ring);
            ring = NULL;
        } else {
            notify->rings[count] = ring;
            notify->rings_count = count + 1; /* the writer sees it from now on */
        }
    }
    pthread_mutex_unlock(&notify->joining);
    return ring;
}

/* --- speaking -----------------------------------------------------------------------------------
 */

static void ring_bell(struct notify *notify)
{
    uint64_t one = 1;
    ssize_t said;
    do {
        said = write(notify->bell, &one, sizeof one);
    } while (said < 0 && errno == EINTR); /* and full, it is ringing already */
}

static void ring_put(struct notify_ring *ring, uint32_t at, const char *data, size_t len)
{
    uint32_t from = at & ring->mask;
    size_t first = ring->mask + 1 - from;
    first = first < len ? first : len;
    memcpy(ring->base + from, data, first);
    memcpy(ring->base, data + first, len - first);
}

bool notify_line(struct notify_ring *ring, const char *line, size_t len)
{
    struct notify *notify = ring->notify;
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    uint32_t used = tail - atomic_load_explicit(&ring->head, memory_order_acquire);
    uint32_t size = ring->mask + 1;
    if (len > NOTIFY_LINE_MAX || len + 1 > size - used) {
        atomic_fetch_add_explicit(&ring->dropped, 1, memory_order_relaxed);
        return false;
    }
    ring_put(ring, tail, line, len);
    ring_put(ring, tail + (uint32_t)len, "\n", 1);
    atomic_store(&ring->tail, tail + (uint32_t)len + 1);

    bool is_half_full = used + len + 1 > size / 2;
    bool became = is_half_full && !ring->is_half_full;
    ring->is_half_full = is_half_full;
    if (became || atomic_load(&notify->sleeps)) {
        ring_bell(notify);
    }
    return true;
}

void notify_reopen(struct notify *notify)
{
    notify->reopening = true;
    ring_bell(notify);
}

uint64_t notify_dropped(const struct notify *notify)
{
    uint64_t dropped = notify->refused;
    uint32_t count = notify->rings_count;
    for (uint32_t i = 0; i < count; i++) {
        dropped += atomic_load_explicit(&notify->rings[i]->dropped, memory_order_relaxed);
    }
    return dropped;
}

uint64_t notify_written(const struct notify *notify)
{
    return notify->written;
}

/* --- the writer's thread
 * -------------------------------------------------------------------------- */

static int path_open(const char *path)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
    return fd >= 0 ? fd : -errno;
}

static void learn_kind(struct notify *notify)
{
    struct stat info;
    notify->waits = fstat(notify->fd, &info) != 0 || !S_ISREG(info.st_mode);
}

static int target_open(struct notify *notify, const char *target)
{
    if (strcmp(target, "stdout") == 0 || strcmp(target, "stderr") == 0) {
        notify->fd = strcmp(target, "stdout") == 0 ? STDOUT_FILENO : STDERR_FILENO;
        learn_kind(notify);
        return 0;
    }
    size_t len = strlen(target);
    notify->path = alloc_new(notify->alloc, len + 1);
    if (notify->path == NULL) {
        return -ENOMEM;
    }
    memcpy(notify->path, target, len + 1);
    notify->fd = path_open(target);
    if (notify->fd < 0) {
        return notify->fd;
    }
    learn_kind(notify);
    return 0;
}

static void reopen(struct notify *notify)
{
    notify->reopening = false;
    int fd = notify->path != NULL ? path_open(notify->path) : -1;
    if (fd >= 0) {
        close(notify->fd);
        notify->fd = fd;
        learn_kind(notify);
    }
}

static bool is_too_late(const struct notify *notify)
{
    return notify->closing && clock_now_ms() >= notify->close_by_ms;
}

/* A pipe that is ready takes PIPE_BUF bytes without blocking, so closing is never held up by a
 * reader that went to sleep. False: nothing more can be written. */
static bool wait_for_target(struct notify *notify)
{
    struct pollfd target = {.fd = notify->fd, .events = POLLOUT};
    while (!is_too_late(notify)) {
        int ready = poll(&target, 1, DOZE_MS);
        if (ready > 0) {
            return true;
        }
        if (ready < 0 && errno != EINTR) {
            return false;
        }
    }
    return false;
}

/* Bytes written of a piece that does not wrap, or -errno. */
static ssize_t write_piece(struct notify *notify, const char *data, size_t len)
{
    if (notify->waits) {
        if (!wait_for_target(notify)) {
            return -ETIMEDOUT;
        }
        len = len < PIPE_BUF ? len : PIPE_BUF;
    }
    ssize_t sent;
    do {
        sent = write(notify->fd, data, len);
    } while (sent < 0 && errno == EINTR);
    return sent >= 0 ? sent : -errno;
}

static uint64_t lines_in(const char *data, size_t len)
{
    uint64_t lines = 0;
    for (const char *end = data + len; data < end; lines++) {
        data = memchr(data, '\n', (size_t)(end - data));
        if (data == NULL) {
            break;
        }
        data++;
    }
    return lines;
}

/* As write_piece(); a line whose rest was refused is ended first. */
static ssize_t write_lines(struct notify *notify, const char *data, size_t len)
{
    ssize_t sent = 1;
    if (notify->torn) {
        sent = write_piece(notify, "\n", 1);
        notify->torn = sent != 1;
    }
    if (sent == 1) {
        sent = write_piece(notify, data, len);
        if (sent > 0) {
            notify->is_midline = data[sent - 1] != '\n';
        } else if (sent != -EAGAIN) {
            notify->torn = notify->is_midline;
            notify->is_midline = false;
        }
    }
    return sent;
}

/* Deals with the bytes that do not wrap, and returns how many of them are gone. What the target
 * refuses is dropped up to a line's end, and counted. */
static uint32_t drain_piece(struct notify *notify, struct notify_ring *ring, const char *data,
                            uint32_t len)
{
    if (ring->skipping) {
        const char *end = memchr(data, '\n', len);
        ring->skipping = end == NULL;
        notify->refused += end != NULL;
        return end != NULL ? (uint32_t)(end + 1 - data) : len;
    }
    ssize_t sent = write_lines(notify, data, len);
    if (sent == -EAGAIN) { /* somebody made the terminal non-blocking */
        return 0;
    }
    if (sent > 0) {
        notify->written += lines_in(data, (size_t)sent);
        return (uint32_t)sent;
    }
    notify->refused += lines_in(data, len);
    ring->skipping = data[len - 1] != '\n';
    return len;
}

static bool drain_ring(struct notify *notify, struct notify_ring *ring)
{
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    uint32_t tail = atomic_load(&ring->tail);
    bool any = head != tail;
    while (head != tail) {
        uint32_t from = head & ring->mask;
        uint32_t len = tail - head;
        len = len < ring->mask + 1 - from ? len : ring->mask + 1 - from;
        head += drain_piece(notify, ring, ring->base + from, len);
        atomic_store_explicit(&ring->head, head, memory_order_release);
    }
    return any;
}

static bool drain(struct notify *notify)
{
    bool any = false;
    uint32_t count = notify->rings_count;
    for (uint32_t i = 0; i < count; i++) {
        any |= drain_ring(notify, notify->rings[i]);
    }
    return any;
}

static void hear_bell(struct notify *notify, int timeout_ms)
{
    struct pollfd bell = {.fd = notify->bell, .events = POLLIN};
    uint64_t rings;
    if (poll(&bell, 1, timeout_ms) > 0) {
        ssize_t got = read(notify->bell, &rings, sizeof rings);
        (void)got;
    }
}

static void *run_writer(void *arg)
{
    struct notify *notify = arg;
    pthread_setname_np(pthread_self(), "weir-log");
    for (;;) {
        bool closing = notify->closing;
        if (notify->reopening) {
            drain(notify);
            reopen(notify);
        }
        if (drain(notify)) {
            hear_bell(notify, closing ? 0 : DOZE_MS);
            continue;
        }
        if (closing) {
            return NULL;
        }
        notify->sleeps = true;
        if (!drain(notify) && !notify->closing && !notify->reopening) {
            hear_bell(notify, -1);
        }
        notify->sleeps = false;
    }
}

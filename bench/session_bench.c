/* SPDX-License-Identifier: Apache-2.0
 *
 * session_bench.c - what sessions cost; each line of JSON is one measurement.
 * bench/session_part.py.
 *
 *     session_bench table COUNT [USER_SHARE]
 *         one thread's own table with lists by user, account and key: bytes each; creating,
 *         finding, touching, expiring, ns each
 *     session_bench wheel COUNT
 *         COUNT sessions that end within an hour, a tick a second: the longest, ms
 *     session_bench shared COUNT THREADS
 *         the library's, by so many threads at once: CPU of the threads, ns each
 *     session_bench journal FOLDER COUNT
 *         the same on a disk: one create at a time that waits for it, a bare append and fdatasync
 *         beside each; then a hundred at a time, as many bare appends and one fdatasync beside them
 *     session_bench redis URL COUNT BATCH
 *         COUNT sessions created, and each changed and written once more: until the Redis has all
 *     session_bench alone URL COUNT
 *         with a Redis, one at a time: what who asks waits for a create and for a look-up, us
 *     session_bench sha256 BYTES
 *         what OpenSSL's SHA-256 of so many bytes takes, us
 *
 * Times of one thread are CPU times. Each session has a user, an account and a key, and USER_SHARE
 * sessions [10] have the same user; accounts are 100, keys 1000.
 */
#include <weir/session.h>

#include "io/clock.h"
#include "io/pages.h"
#include "session/table.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define ACCOUNTS       100U
#define KEYS           1000U
#define TTL_MS         3600000U
#define RECORD         180U /* bytes of a bare append: about a record's */
#define TOGETHER       100U
#define BATCHED_RECORD 116U /* as long as these sessions are in the journal */
#define STEP_MS        1000U
#define WAIT_MS        120000U
#define THREADS        16U
#define SHA_ROUNDS     200U

static uint32_t user_share = 10;

__attribute__((noreturn)) static void die(const char *what, const char *why)
{
    fprintf(stderr, "session_bench: %s: %s\n", what, why);
    exit(1);
}

static void must(weir_err err, const char *what)
{
    if (err != WEIR_OK) {
        die(what, weir_err_text(err));
    }
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static uint64_t own_ns(void)
{
    return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static uint32_t number_of(const char *text)
{
    long number = strtol(text, NULL, 10);
    if (number < 1 || number > (long)TABLE_MOST) {
        die(text, "not a number of sessions");
    }
    return (uint32_t)number;
}

static size_t resident(void)
{
    unsigned long all = 0, here = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%lu %lu", &all, &here) != 2) {
        die("/proc/self/statm", strerror(errno));
    }
    fclose(file);
    return here * (size_t)sysconf(_SC_PAGESIZE);
}

/* Steele, Lea, Flood: SplitMix64. The id of the i-th session, and an order to look for them in. */
static uint64_t mixed(uint64_t i)
{
    i = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
    i = (i ^ (i >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    i = (i ^ (i >> 27)) * UINT64_C(0x94d049bb133111eb);
    return i ^ (i >> 31);
}

static struct session_id id_of(uint64_t i)
{
    return (struct session_id){mixed(2 * i), mixed(2 * i + 1)};
}

struct texts {
    char user[24], account[16], key[16];
};

static void texts_of(uint64_t i, struct texts *ret_texts)
{
    snprintf(ret_texts->user, sizeof ret_texts->user, "user-%07u", (unsigned)(i / user_share));
    snprintf(ret_texts->account, sizeof ret_texts->account, "account-%02u",
             (unsigned)(i % ACCOUNTS));
    snprintf(ret_texts->key, sizeof ret_texts->key, "key-%04u", (unsigned)(i % KEYS));
}

/* Made before: what is measured is what is done with them. */
static struct texts *texts_from(uint32_t from, uint32_t count)
{
    struct texts *texts = calloc(count, sizeof *texts);
    if (texts == NULL) {
        die("memory", strerror(errno));
    }
    for (uint32_t i = 0; i < count; i++) {
        texts_of(from + i, &texts[i]);
    }
    return texts;
}

/* --- one thread's table -------------------------------------------------------------------------
 */

static struct table open_table(uint32_t count)
{
    struct table table;
    const struct table_options opt = {.sessions_max = count, .key = {1, 2}};
    void *block = mmap(NULL, table_bytes(&opt), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (block == MAP_FAILED) {
        die("a table", strerror(errno));
    }
    table_init(&table, block, &opt, 0);
    table.ready = pages_ready;
    return table;
}

/* What is measured is the table: texts are made before. */
#define AT_ONCE 1000U

static uint64_t fill_table(struct table *table, uint32_t count, uint32_t spread_ms)
{
    static struct texts texts[AT_ONCE];
    static struct session_id asked[AT_ONCE];
    struct session *session;
    uint64_t spent_ns = 0;
    for (uint32_t from = 0; from < count; from += AT_ONCE) {
        uint32_t some = count - from < AT_ONCE ? count - from : AT_ONCE;
        for (uint32_t i = 0; i < some; i++) {
            texts_of(from + i, &texts[i]);
            asked[i] = id_of(from + i);
        }
        uint64_t begun_ns = own_ns();
        for (uint32_t i = 0; i < some; i++) {
            const struct table_make make = {
                .names = {slice_of(texts[i].user), slice_of(texts[i].account),
                          slice_of(texts[i].key)},
                .ttl_ms = TTL_MS - (spread_ms != 0 ? (uint32_t)(mixed(from + i) % spread_ms) : 0)};
            must(table_create(table, asked[i], &make, 0, &session), "create");
        }
        spent_ns += own_ns() - begun_ns;
    }
    return spent_ns;
}

/* In an order of no use to any cache. */
static uint64_t find_all(struct table *table, uint32_t count, bool touches)
{
    static struct session_id asked[AT_ONCE];
    uint64_t spent_ns = 0;
    for (uint32_t from = 0; from < count; from += AT_ONCE) {
        uint32_t some = count - from < AT_ONCE ? count - from : AT_ONCE;
        for (uint32_t i = 0; i < some; i++) {
            asked[i] = id_of(mixed(from + i) % count);
        }
        uint64_t begun_ns = own_ns();
        for (uint32_t i = 0; i < some; i++) {
            struct session *session = table_find(table, asked[i], 1);
            if (session == NULL) {
                die("find", "a session is not there");
            }
            if (touches) {
                table_touch(table, session, false, 24 * TTL_MS, 1);
            }
        }
        spent_ns += own_ns() - begun_ns;
    }
    return spent_ns;
}

static void measure_table(uint32_t count)
{
    size_t before = resident();
    struct table table = open_table(count);
    double create_ns = (double)fill_table(&table, count, 0);
    double bytes = (double)(resident() - before);
    double find_ns = (double)find_all(&table, count, false);
    double touch_ns = (double)find_all(&table, count, true);
    uint64_t begun_ns = own_ns();
    while (table_tick(&table, 2 * TTL_MS, TABLE_SOME)) {
    }
    double expire_ns = (double)(own_ns() - begun_ns);
    if (table_count(&table).live != 0) {
        die("expire", "sessions that live on");
    }
    /* A table that was in use has its pages. */
    double again_ns = (double)fill_table(&table, count, 0);
    printf("{\"bytes\": %.1f, \"create ns\": %.1f, \"create again ns\": %.1f, "
           "\"look-up ns\": %.1f, \"look-up and touch ns\": %.1f, \"expire ns\": %.1f}\n",
           bytes / count, create_ns / count, again_ns / count, find_ns / count, touch_ns / count,
           expire_ns / count);
}

/* Who holds a table's lock lets others in between two calls, so the longest one is what they wait
 * for. */
static void measure_wheel(uint32_t count)
{
    struct table table = open_table(count);
    uint64_t longest_ns = 0, second_ns = 0;
    bool is_more;
    fill_table(&table, count, TTL_MS - STEP_MS);
    for (uint64_t at_ms = 0; at_ms <= TTL_MS + STEP_MS; at_ms += STEP_MS) {
        uint64_t spent_ns = 0;
        do {
            uint64_t begun_ns = own_ns();
            is_more = table_tick(&table, at_ms, TABLE_SOME);
            uint64_t took_ns = own_ns() - begun_ns;
            longest_ns = took_ns > longest_ns ? took_ns : longest_ns;
            spent_ns += took_ns;
        } while (is_more);
        second_ns = spent_ns > second_ns ? spent_ns : second_ns;
    }
    if (table_count(&table).live != 0) {
        die("wheel", "sessions that live on");
    }
    printf("{\"sessions\": %u, \"longest tick ms\": %.3f, \"all of a second ms\": %.3f}\n", count,
           (double)longest_ns / 1e6, (double)second_ns / 1e6);
}

/* --- the library's ------------------------------------------------------------------------------
 */

static weir_sessions *sessions;
static weir_session_id *ids;
static _Atomic uint64_t now_ms = 1000;
static pthread_barrier_t barrier;

static uint64_t tell_time(void *arg)
{
    (void)arg;
    return now_ms;
}

static void create_of(const struct texts *texts, weir_session_id *ret_id)
{
    const weir_session_new what = {
        .user = texts->user, .account = texts->account, .key = texts->key, .ttl_ms = TTL_MS};
    must(weir_session_create(sessions, &what, ret_id), "create");
}

struct share {
    pthread_t thread;
    uint32_t from, count, all;
    uint64_t create_ns, find_ns;
};

static void *share_runs(void *arg)
{
    struct share *share = arg;
    struct texts *texts = texts_from(share->from, share->count);
    pthread_barrier_wait(&barrier);
    uint64_t begun_ns = own_ns();
    for (uint32_t i = 0; i < share->count; i++) {
        create_of(&texts[i], &ids[share->from + i]);
    }
    share->create_ns = own_ns() - begun_ns;
    pthread_barrier_wait(&barrier);
    /* Who asks has the id in hand: where it comes from is no cost of a look-up. */
    weir_session_id *asked = calloc(share->count, sizeof *asked);
    if (asked == NULL) {
        die("memory", strerror(errno));
    }
    for (uint32_t i = 0; i < share->count; i++) {
        asked[i] = ids[mixed(share->from + i) % share->all];
    }
    pthread_barrier_wait(&barrier);
    begun_ns = own_ns();
    weir_session session = {.size = sizeof session};
    for (uint32_t i = 0; i < share->count; i++) {
        must(weir_session_get(sessions, asked[i], &session), "get");
    }
    share->find_ns = own_ns() - begun_ns;
    free(texts);
    free(asked);
    return NULL;
}

static void open_sessions(weir_sessions_options opt)
{
    weir_err err = weir_sessions_open(&opt, &sessions);
    if (err != WEIR_OK) {
        fprintf(stderr, "session_bench: %s\n", weir_sessions_fault());
        must(err, "open");
    }
}

static weir_sessions_stats stats_now(void)
{
    weir_sessions_stats stats = {.size = sizeof stats};
    weir_sessions_stats_of(sessions, &stats);
    return stats;
}

static void measure_shared(uint32_t count, uint32_t threads)
{
    struct share shares[THREADS];
    double create_ns = 0, find_ns = 0;
    threads = threads > THREADS ? THREADS : threads;
    uint32_t each = count / threads;
    count = each * threads;
    ids = calloc(count, sizeof *ids);
    open_sessions((weir_sessions_options){
        .sessions_max = count + count / 4, .no_thread = true, .now_ms = tell_time});
    pthread_barrier_init(&barrier, NULL, threads);
    for (uint32_t i = 0; i < threads; i++) {
        shares[i] = (struct share){.from = i * each, .count = each, .all = count};
        if (pthread_create(&shares[i].thread, NULL, share_runs, &shares[i]) != 0) {
            die("a thread", strerror(errno));
        }
    }
    for (uint32_t i = 0; i < threads; i++) {
        pthread_join(shares[i].thread, NULL);
        create_ns += (double)shares[i].create_ns / count;
        find_ns += (double)shares[i].find_ns / count;
    }
    now_ms += 2 * TTL_MS;
    uint64_t begun_ns = own_ns();
    weir_sessions_turn(sessions);
    double expire_ns = (double)(own_ns() - begun_ns) / count;
    if (stats_now().live != 0) {
        die("expire", "sessions that live on");
    }
    printf("{\"threads\": %u, \"create ns\": %.1f, \"look-up ns\": %.1f, \"expire ns\": %.1f}\n",
           threads, create_ns, find_ns, expire_ns);
    weir_sessions_close(sessions);
}

/* --- on a disk ----------------------------------------------------------------------------------
 */

static int by_size(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static double middle_us(uint64_t *ns, uint32_t count)
{
    qsort(ns, count, sizeof *ns, by_size);
    return (double)ns[count / 2] / 1e3;
}

static int open_bare(const char *folder)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/bare", folder);
    int bare = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    if (bare < 0) {
        die(path, strerror(errno));
    }
    return bare;
}

static void append_bare(int bare, size_t len)
{
    static const char bytes[RECORD];
    if (write(bare, bytes, len) != (ssize_t)len) {
        die("a bare append", strerror(errno));
    }
}

static void sync_bare(int bare)
{
    if (fdatasync(bare) != 0) {
        die("fdatasync", strerror(errno));
    }
}

/* In turns: what one write finds on the disk, the other finds, too. */
static void measure_waiting(const char *folder, uint32_t count)
{
    char path[4096];
    weir_session_id id;
    int bare = open_bare(folder);
    uint64_t *ours = calloc(count, sizeof *ours), *theirs = calloc(count, sizeof *theirs);
    struct texts *texts = texts_from(0, count);
    if (ours == NULL || theirs == NULL) {
        die("memory", strerror(errno));
    }
    snprintf(path, sizeof path, "%s/always", folder);
    open_sessions((weir_sessions_options){.path = path, .fsync = WEIR_FSYNC_ALWAYS});
    for (uint32_t i = 0; i < count; i++) {
        uint64_t begun_ns = clock_ns(CLOCK_MONOTONIC);
        create_of(&texts[i], &id);
        uint64_t between_ns = clock_ns(CLOCK_MONOTONIC);
        append_bare(bare, RECORD);
        sync_bare(bare);
        ours[i] = between_ns - begun_ns;
        theirs[i] = clock_ns(CLOCK_MONOTONIC) - between_ns;
    }
    double us = middle_us(ours, count), bare_us = middle_us(theirs, count);
    printf("{\"create p50 us\": %.1f, \"bare append p50 us\": %.1f, \"of bare\": %.2f}\n", us,
           bare_us, us / bare_us);
    weir_sessions_close(sessions);
    close(bare);
    free(ours);
    free(theirs);
    free(texts);
}

/* In turns as well: beside each batch, as many bare appends of as many bytes and one fdatasync().
 */
static void measure_batches(const char *folder, uint32_t count)
{
    char path[4096];
    weir_session_id id;
    int bare = open_bare(folder);
    struct texts *texts = texts_from(0, count);
    uint64_t took_ns = 0, bare_ns = 0, made_ns = 0, cpu_ns = 0;
    snprintf(path, sizeof path, "%s/batches", folder);
    open_sessions((weir_sessions_options){
        .path = path, .sessions_max = count + count / 4, .fsync = WEIR_FSYNC_NEVER});
    for (uint32_t i = 0; i < count; i += TOGETHER) {
        uint64_t begun_ns = clock_ns(CLOCK_MONOTONIC), begun_cpu_ns = own_ns();
        for (uint32_t k = i; k < i + TOGETHER && k < count; k++) {
            create_of(&texts[k], &id);
        }
        made_ns += clock_ns(CLOCK_MONOTONIC) - begun_ns;
        cpu_ns += own_ns() - begun_cpu_ns;
        must(weir_sessions_sync(sessions), "sync");
        uint64_t between_ns = clock_ns(CLOCK_MONOTONIC);
        for (uint32_t k = 0; k < TOGETHER; k++) {
            append_bare(bare, BATCHED_RECORD);
        }
        sync_bare(bare);
        took_ns += between_ns - begun_ns;
        bare_ns += clock_ns(CLOCK_MONOTONIC) - between_ns;
    }
    printf("{\"batches of\": %u, \"creates/s\": %.0f, \"bare appends/s\": %.0f, "
           "\"before fdatasync us each\": %.2f, \"CPU of that us each\": %.2f, "
           "\"bytes written each\": %.1f}\n",
           TOGETHER, count * 1e9 / (double)took_ns, count * 1e9 / (double)bare_ns,
           (double)made_ns / 1e3 / count, (double)cpu_ns / 1e3 / count,
           (double)stats_now().journal_bytes / count);
    weir_sessions_close(sessions);
    close(bare);
    free(texts);
}

/* --- with a Redis -------------------------------------------------------------------------------
 */

static double until_stored(uint32_t writes_wanted)
{
    uint64_t begun_ns = clock_ns(CLOCK_MONOTONIC), end_ms = clock_now_ms() + WAIT_MS;
    weir_sessions_stats stats;
    while ((stats = stats_now()).unstored > 0 || stats.store_writes < writes_wanted) {
        if (clock_now_ms() > end_ms) {
            die("the Redis", "not everything was stored within two minutes");
        }
        nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
    }
    return (double)(clock_ns(CLOCK_MONOTONIC) - begun_ns) / 1e9;
}

static void measure_redis(const char *url, uint32_t count, uint32_t batch)
{
    struct texts *texts = texts_from(0, count);
    ids = calloc(count, sizeof *ids);
    const weir_sessions_redis redis = {
        .url = url, .timeout_ms = 30000, .batch_max = batch, .soon_ms = 1};
    open_sessions((weir_sessions_options){.sessions_max = count + count / 4, .redis = &redis});
    uint64_t begun_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID), start_ns = clock_ns(CLOCK_MONOTONIC);
    for (uint32_t i = 0; i < count; i++) {
        create_of(&texts[i], &ids[i]);
    }
    until_stored(count / batch);
    double created_s = (double)(clock_ns(CLOCK_MONOTONIC) - start_ns) / 1e9;
    double cpu_us = (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - begun_ns) / 1e3;
    start_ns = clock_ns(CLOCK_MONOTONIC);
    for (uint32_t i = 0; i < count; i++) {
        const weir_session_update update = {.status = WEIR_SESSION_IDLE};
        must(weir_session_change(sessions, ids[i], &update), "change");
    }
    until_stored(count / batch * 2);
    double changed_s = (double)(clock_ns(CLOCK_MONOTONIC) - start_ns) / 1e9;
    printf("{\"creates/s\": %.0f, \"changes/s\": %.0f, \"own CPU us each\": %.2f, "
           "\"failures\": %llu}\n",
           count / created_s, count / changed_s, cpu_us / count,
           (unsigned long long)stats_now().store_failures);
    weir_sessions_close(sessions);
    free(texts);
}

/* How long who asks waits for one, none but its own under way. What is timed with it, a look at the
 * clock, is some 30 ns. */
static void measure_alone(const char *url, uint32_t count)
{
    uint64_t *create = calloc(count, sizeof *create), *look = calloc(count, sizeof *look);
    struct texts *texts = texts_from(0, count);
    ids = calloc(count, sizeof *ids);
    if (create == NULL || look == NULL || ids == NULL) {
        die("memory", strerror(errno));
    }
    const weir_sessions_redis redis = {.url = url, .timeout_ms = 30000};
    open_sessions((weir_sessions_options){.sessions_max = count + count / 4, .redis = &redis});
    for (uint32_t i = 0; i < count; i++) {
        uint64_t begun_ns = clock_ns(CLOCK_MONOTONIC);
        create_of(&texts[i], &ids[i]);
        create[i] = clock_ns(CLOCK_MONOTONIC) - begun_ns;
    }
    until_stored(1);
    for (uint32_t i = 0; i < count; i++) {
        weir_session session = {.size = sizeof session};
        uint64_t begun_ns = clock_ns(CLOCK_MONOTONIC);
        must(weir_session_get(sessions, ids[i], &session), "look-up");
        look[i] = clock_ns(CLOCK_MONOTONIC) - begun_ns;
    }
    printf("{\"create us\": %.3f, \"look-up us\": %.3f, \"failures\": %llu}\n",
           middle_us(create, count), middle_us(look, count),
           (unsigned long long)stats_now().store_failures);
    weir_sessions_close(sessions);
    free(create);
    free(look);
    free(texts);
}

/* --- SHA-256 ------------------------------------------------------------------------------------
 */

static void measure_sha256(uint32_t bytes)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    char *text = malloc(bytes);
    if (text == NULL) {
        die("memory", strerror(errno));
    }
    memset(text, 'a', bytes);
    uint64_t begun_ns = own_ns();
    for (unsigned i = 0; i < SHA_ROUNDS; i++) {
        if (EVP_Digest(text, bytes, digest, NULL, EVP_sha256(), NULL) != 1) {
            die("SHA-256", "OpenSSL does not");
        }
    }
    printf("{\"us\": %.2f}\n", (double)(own_ns() - begun_ns) / 1e3 / SHA_ROUNDS);
    free(text);
}

int main(int argc, char **argv)
{
    const char *mode = argc > 2 ? argv[1] : "";
    if (strcmp(mode, "table") == 0) {
        user_share = argc > 3 ? number_of(argv[3]) : user_share;
        measure_table(number_of(argv[2]));
    } else if (strcmp(mode, "wheel") == 0) {
        measure_wheel(number_of(argv[2]));
    } else if (strcmp(mode, "shared") == 0 && argc == 4) {
        measure_shared(number_of(argv[2]), number_of(argv[3]));
    } else if (strcmp(mode, "journal") == 0 && argc == 4) {
        measure_waiting(argv[2], number_of(argv[3]));
        measure_batches(argv[2], 100 * number_of(argv[3]));
    } else if (strcmp(mode, "redis") == 0 && argc == 5) {
        measure_redis(argv[2], number_of(argv[3]), number_of(argv[4]));
    } else if (strcmp(mode, "alone") == 0 && argc == 4) {
        measure_alone(argv[2], number_of(argv[3]));
    } else if (strcmp(mode, "sha256") == 0) {
        measure_sha256(number_of(argv[2]));
    } else {
        fputs("session_bench: see the head of bench/session_bench.c\n", stderr);
        return 2;
    }
    return 0;
}

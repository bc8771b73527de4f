/* SPDX-License-Identifier: Apache-2.0
 *
 * llhttp_test SEED COUNT FILE|DIRECTORY... - a second opinion on HTTP/1.1 from llhttp (strict
 * mode).
 *
 * Every message of the corpora, and COUNT mutants of them that follow from SEED, is read by both.
 * What we accept llhttp must accept, as the same message: method, target, status, reason, fields,
 * body, trailers, and the same place where it ends; and a connection that we keep it would keep.
 * The other direction does not count: we are stricter on purpose. Where we accept what llhttp
 * refuses, a row of `differences` says why, or the test fails.
 */
#include "base/rand.h"
#include "opinion.h"
#include "proto/http1.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* --- ours ------------------------------------------------------------------------------------ */

static struct http_field head_room[HTTP_FIELDS_MAX], trailer_room[HTTP_FIELDS_MAX];

static void note_head(struct opinion *opinion, const struct question *question,
                      const struct http_head *head)
{
    bool noted = question->request
                     ? bytes_printf(&opinion->head, "%.*s %.*s 1.%d\n", SLICE_ARG(head->method),
                                    SLICE_ARG(head->target), head->version_minor)
                     : bytes_printf(&opinion->head, "%d %.*s 1.%d\n", head->status,
                                    SLICE_ARG(head->reason), head->version_minor);
    check(noted);
    for (unsigned i = 0; i < head->field_count; i++) {
        opinion_field(opinion, head->fields[i].name, head->fields[i].value);
    }
    check(bytes_append_text(&opinion->head, "--\n"));
}

static void read_our_body(struct opinion *opinion, const struct question *question,
                          const struct http_head *head, size_t at)
{
    const struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
    struct http1_body body;
    struct http_head trailers = {.fields = trailer_room};
    struct http1_piece piece;
    enum http1_body_event event;
    http1_body_init(&body, head, &limits);
    do {
        event = http1_body_next(&body, question->bytes + at, question->len - at, &trailers, &piece);
        at += piece.used;
        check(bytes_append_slice(&opinion->body, piece.data));
    } while (event == HTTP1_BODY_DATA);
    if (event == HTTP1_BODY_BAD) {
        opinion->outcome = REFUSED;
        opinion->why = http1_error_word(piece.error);
    } else if (event == HTTP1_BODY_END) {
        opinion->outcome = COMPLETE;
        opinion->end = at;
        for (unsigned i = 0; i < trailers.field_count; i++) {
            opinion_field(opinion, trailers.fields[i].name, trailers.fields[i].value);
        }
    }
}

static struct http_head read_ours(struct opinion *opinion, const struct question *question)
{
    const struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
    struct http1_progress progress = {0};
    struct http_head head = {.fields = head_room};
    const struct http1_asked asked = {.method_id = question->to_head ? HTTP_HEAD : HTTP_GET,
                                      .upgrade = question->upgrade};
    opinion_init(opinion);
    ssize_t result = question->request ? http1_parse_request(&progress, question->bytes,
                                                             question->len, &limits, &head)
                                       : http1_parse_response(&progress, question->bytes,
                                                              question->len, &limits, asked, &head);
    if (result < 0) {
        opinion->outcome = REFUSED;
        opinion->why = http1_error_word((enum http1_error) - result);
    } else if (result > 0) {
        opinion->head_complete = true;
        opinion->keep_alive = head.keep_alive;
        note_head(opinion, question, &head);
        read_our_body(opinion, question, &head, (size_t)result);
    }
    return head;
}

/* --- where we differ on purpose -------------------------------------------------------------- */

struct difference {
    const char *what;
    const char *reason;
    bool (*applies)(const struct question *question, const struct http_head *ours,
                    const struct opinion *theirs);
    unsigned seen;
};

static bool method_is_unknown(const struct question *question, const struct http_head *ours,
                              const struct opinion *theirs)
{
    return question->request && ours->method_id == HTTP_METHOD_OTHER
           && strcmp(theirs->why, "HPE_INVALID_METHOD") == 0;
}

/* llhttp judges the fields of a trailer section as if they stood in the head. */
static bool trailers_frame(const struct question *question, const struct http_head *ours,
                           const struct opinion *theirs)
{
    (void)question;
    return ours->framing == HTTP_CHUNKED && theirs->head_complete
           && (strstr(theirs->why, "_CONTENT_LENGTH") != NULL
               || strcmp(theirs->why, "HPE_INVALID_TRANSFER_ENCODING") == 0);
}

static bool trailers_close(const struct question *question, const struct http_head *ours,
                           const struct opinion *theirs)
{
    (void)question;
    if (ours->framing != HTTP_CHUNKED || theirs->outcome != COMPLETE) {
        return false;
    }
    struct slice head = bytes_slice(&theirs->head);
    const char *trailers = memmem(head.at, head.len, "--\n", 3);
    size_t len = head.len - (size_t)(trailers - head.at);
    return memmem(trailers, len, "onnection: ", 11) != NULL
           || memmem(trailers, len, "ransfer-", 8) != NULL;
}

/* ";name=value;" somewhere in one line. */
static bool extensions_follow_values(const struct question *question, const struct http_head *ours,
                                     const struct opinion *theirs)
{
    static const char wanted[] = ";=;";
    size_t found = 0;
    for (size_t i = 0; i < question->len && found < 3; i++) {
        if (question->bytes[i] == wanted[found]) {
            found++;
        } else if (question->bytes[i] == '\n') {
            found = 0;
        }
    }
    return ours->framing == HTTP_CHUNKED && found == 3 && theirs->head_complete
           && strcmp(theirs->why, "HPE_INVALID_CHUNK_SIZE") == 0;
}

/* A tab ends the line of a field that llhttp interprets. */
static bool tab_behind_value(const struct question *question, const struct http_head *ours,
                             const struct opinion *theirs)
{
    (void)question;
    (void)theirs;
    for (unsigned i = 0; i < ours->field_count; i++) {
        const struct http_field *field = &ours->fields[i];
        bool interpreted = field->id == HTTP_TRANSFER_ENCODING || field->id == HTTP_CONTENT_LENGTH
                           || field->id == HTTP_CONNECTION;
        const char *at = field->value.at + field->value.len;
        at += strspn(at, " ");
        if (interpreted && *at == '\t') {
            return true;
        }
    }
    return false;
}

static bool escape_in_extension(const struct question *question, const struct http_head *ours,
                                const struct opinion *theirs)
{
    return ours->framing == HTTP_CHUNKED && theirs->head_complete
           && strcmp(theirs->why, "HPE_STRICT") == 0
           && memchr(question->bytes, '\\', question->len) != NULL;
}

static struct difference differences[] = {
    {"methods outside llhttp's list", "RFC 9110 section 9.1: any token may be one; we pass it on",
     method_is_unknown, 0},
    {"framing fields in trailers", "RFC 9110 section 6.5.1: they mean nothing there; we drop them",
     trailers_frame, 0},
    {"a chunk extension behind one with a value", "RFC 9112 section 7.1.1: there may be many",
     extensions_follow_values, 0},
    {"a tab behind a value", "RFC 9110 section 5.5: white space as the space is, which both take",
     tab_behind_value, 0},
    {"an escape in a chunk extension", "RFC 9110 section 5.6.4: any visible byte may be escaped",
     escape_in_extension, 0},
    {"trailers that would close the connection", "the same", trailers_close, 0},
};

static bool is_deliberate(const struct question *question, const struct http_head *ours,
                          const struct opinion *theirs)
{
    for (size_t i = 0; i < sizeof differences / sizeof differences[0]; i++) {
        if (differences[i].applies(question, ours, theirs)) {
            differences[i].seen++;
            return true;
        }
    }
    return false;
}

/* --- the comparison -------------------------------------------------------------------------- */

static struct {
    uint64_t read, accepted, theirs_only;
} tally;

static void print_escaped(const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c == '\n') {
            fputs("\\n\n", stdout);
        } else if (c < ' ' || c > '~') {
            printf(c == '\r' ? "\\r" : "\\x%02x", c);
        } else {
            putchar(c);
        }
    }
    putchar('\n');
}

static void print_opinion(const char *whose, const struct opinion *opinion)
{
    static const char *const outcomes[] = {"refused", "incomplete", "complete"};
    printf("%s: %s %s, end %zu, keep %d\n", whose, outcomes[opinion->outcome], opinion->why,
           opinion->end, opinion->keep_alive);
    print_escaped(bytes_at(&opinion->head), bytes_len(&opinion->head));
    print_escaped(bytes_at(&opinion->body), bytes_len(&opinion->body));
}

static const char *first_difference(const struct opinion *ours, const struct opinion *theirs)
{
    if (!ours->head_complete) {
        return NULL; /* what it means is judged when it is */
    }
    if (theirs->outcome == REFUSED) {
        return "we accept what they refuse";
    }
    if (ours->outcome != theirs->outcome) {
        return "only one of us saw the end";
    }
    /* Trailers come one by one from llhttp, and together from us. */
    bool complete = ours->outcome == COMPLETE;
    struct slice head = bytes_slice(&ours->head);
    struct slice their_head = bytes_slice(&theirs->head);
    if (!slice_starts(their_head, head) || (complete && head.len != their_head.len)) {
        return "heads differ";
    }
    if (!slice_same(bytes_slice(&ours->body), bytes_slice(&theirs->body))) {
        return "bodies differ";
    }
    if (complete && ours->end != theirs->end) {
        return "ends differ";
    }
    if (complete && ours->keep_alive && !theirs->keep_alive) {
        return "we keep what they close";
    }
    return NULL;
}

static void compare(const struct question *question, const char *origin)
{
    struct opinion ours;
    struct opinion theirs;
    struct http_head head = read_ours(&ours, question);
    llhttp_opinion_of(question, &theirs);
    tally.read++;
    tally.accepted += ours.outcome == COMPLETE;
    tally.theirs_only += ours.outcome == REFUSED && theirs.outcome == COMPLETE;
    const char *what = ours.outcome == REFUSED ? NULL : first_difference(&ours, &theirs);
    if (what != NULL && !is_deliberate(question, &head, &theirs)) {
        printf("%s: %s\n", origin, what);
        print_escaped(question->bytes, question->len);
        print_opinion("ours", &ours);
        print_opinion("llhttp", &theirs);
        exit(1);
    }
    opinion_fini(&ours);
    opinion_fini(&theirs);
}

static void compare_all(const char *bytes, size_t len, const char *origin)
{
    compare(&(struct question){bytes, len, .request = true}, origin);
    compare(&(struct question){bytes, len, .request = false}, origin);
    compare(&(struct question){bytes, len, .to_head = true}, origin);
    compare(&(struct question){bytes, len, .upgrade = true}, origin);
}

/* --- corpora --------------------------------------------------------------------------------- */

struct sample {
    char *bytes;
    size_t len;
};
#define SAMPLES_MAX 4096U
static struct sample samples[SAMPLES_MAX];
static unsigned sample_count, plain_count; /* the plain ones come first: most are accepted */

static void add_sample(const char *prefix, const char *bytes, size_t len)
{
    size_t before = strlen(prefix);
    check(sample_count < SAMPLES_MAX && before + len < MESSAGE_MAX);
    struct sample *sample = &samples[sample_count++];
    sample->len = before + len;
    sample->bytes = malloc(sample->len + 1);
    check(sample->bytes != NULL);
    memcpy(sample->bytes, prefix, before);
    memcpy(sample->bytes + before, bytes, len);
}

static void add_file(const char *path)
{
    static char bytes[MESSAGE_MAX];
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    size_t len = fread(bytes, 1, sizeof bytes / 2, file);
    fclose(file);
    /* A chunked body needs heads to follow. */
    if (strstr(path, "chunked") != NULL) {
        add_sample("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n", bytes, len);
        add_sample("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", bytes, len);
    } else {
        add_sample("", bytes, len);
    }
}

/* Those that both accept, as the corpora name them. */
static int is_plain(const struct dirent *entry)
{
    return strncmp(entry->d_name, "good-", 5) == 0;
}

static int is_other(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && !is_plain(entry);
}

static void add_path(const char *path, int (*wanted)(const struct dirent *))
{
    struct stat facts;
    struct dirent **entries;
    if (stat(path, &facts) == 0 && !S_ISDIR(facts.st_mode)) {
        if (wanted == is_plain) {
            add_file(path);
        }
        return;
    }
    int count = scandir(path, &entries, wanted, alphasort);
    if (count < 0) {
        perror(path);
        exit(1);
    }
    for (int i = 0; i < count; i++) {
        char inner[4096];
        snprintf(inner, sizeof inner, "%s/%s", path, entries[i]->d_name);
        add_file(inner);
        free(entries[i]);
    }
    free(entries);
}

/* --- mutants --------------------------------------------------------------------------------- */

static const char *const scraps[] = {
    "\r\n",
    "\n",
    "\r",
    " ",
    "\t",
    ":",
    ",",
    ";",
    "0",
    "1",
    "\x7f",
    "\x80",
    "\r\n\r\n",
    "\r\n ",
    "Content-Length: 3\r\n",
    "Content-Length: 0\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Connection: close\r\n",
    "Connection: keep-alive\r\n",
    "Connection: upgrade\r\nUpgrade: foo\r\n",
    "Expect: 100-continue\r\n",
    "Host: t\r\n",
    "X: y\r\n",
    "HTTP/1.0",
    "HTTP/1.1",
    "GET ",
    "POST ",
    "0\r\n\r\n",
    "3\r\nabc\r\n",
    ";x=y",
    ";x=\"y\"",
    "%2e",
    "//",
    "http://t",
    "X-Sum: 1\r\n",
    "204",
    "304",
    "101",
    "chunked",
    "\xc3\xa4",
    "A:\r\n",
};

struct mutant {
    char bytes[2 * MESSAGE_MAX];
    size_t len;
};

static void splice(struct mutant *mutant, size_t at, size_t removed, const char *bytes, size_t len)
{
    if (mutant->len - removed + len > MESSAGE_MAX / 2) {
        return;
    }
    memmove(mutant->bytes + at + len, mutant->bytes + at + removed, mutant->len - at - removed);
    memcpy(mutant->bytes + at, bytes, len);
    mutant->len += len - removed;
}

/* The start of some line. */
static size_t line_start(const struct mutant *mutant, struct rand *rand)
{
    size_t at = rand_below(rand, mutant->len + 1);
    while (at > 0 && mutant->bytes[at - 1] != '\n') {
        at--;
    }
    return at;
}

static void mutate(struct mutant *mutant, struct rand *rand)
{
    size_t at = rand_below(rand, mutant->len + 1);
    size_t behind = mutant->len - at;
    const char *scrap = scraps[rand_below(rand, sizeof scraps / sizeof scraps[0])];
    char byte = (char)rand_below(rand, 256);
    const struct sample *other = &samples[rand_below(rand, sample_count)];
    switch (rand_below(rand, 8)) {
    case 0: splice(mutant, at, behind > 0, &byte, 1); break;
    case 1: splice(mutant, at, 0, &byte, 1); break;
    case 2:
        splice(mutant, at, behind > 0 ? rand_below(rand, behind < 8 ? behind : 8) : 0, "", 0);
        break;
    case 3: splice(mutant, at, 0, scrap, strlen(scrap)); break;
    case 4: splice(mutant, at, behind, other->bytes, other->len); break;
    case 5: mutant->len = at; break;
    default: splice(mutant, line_start(mutant, rand), 0, scrap, strlen(scrap)); break;
    }
}

static void compare_mutants(uint64_t seed, uint64_t count)
{
    static struct mutant mutant;
    for (uint64_t i = 0; i < count; i++) {
        struct rand rand;
        char origin[64];
        rand_init(&rand, rand_mix(seed) + i);
        bool plain = plain_count > 0 && rand_chance(&rand, 800);
        const struct sample *sample =
            &samples[rand_below(&rand, plain ? plain_count : sample_count)];
        memcpy(mutant.bytes, sample->bytes, sample->len);
        mutant.len = sample->len;
        for (uint64_t n = rand_between(&rand, 1, 4); n > 0; n--) {
            mutate(&mutant, &rand);
        }
        snprintf(origin, sizeof origin, "seed %" PRIu64 ", mutant %" PRIu64, seed, i);
        compare_all(mutant.bytes, mutant.len, origin);
    }
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: %s SEED COUNT FILE|DIRECTORY...\n", argv[0]);
        return 2;
    }
    for (int i = 3; i < argc; i++) {
        add_path(argv[i], is_plain);
    }
    plain_count = sample_count;
    for (int i = 3; i < argc; i++) {
        add_path(argv[i], is_other);
    }
    for (unsigned i = 0; i < sample_count; i++) {
        compare_all(samples[i].bytes, samples[i].len, "corpus");
    }
    compare_mutants(strtoull(argv[1], NULL, 10), strtoull(argv[2], NULL, 10));
    for (unsigned i = 0; i < sample_count; i++) {
        free(samples[i].bytes);
    }
    printf("seed %s: %" PRIu64 " read, %" PRIu64 " complete for us, %" PRIu64
           " complete for llhttp alone\n",
           argv[1], tally.read, tally.accepted, tally.theirs_only);
    for (size_t i = 0; i < sizeof differences / sizeof differences[0]; i++) {
        printf("%6u x %s (%s)\n", differences[i].seen, differences[i].what, differences[i].reason);
    }
    return 0;
}

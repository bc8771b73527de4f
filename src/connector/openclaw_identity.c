/* SPDX-License-Identifier: Apache-2.0
 *
 *   {"device": "weir-openclaw-1", "seed": "64 hex digits", "tokens": [{"gateway", "token"}, …]}
 */
#include "connector/openclaw_identity.h"

#include "base/check.h"
#include "io/oserror.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define KIND        "weir-openclaw-1"
#define GATEWAY_MAX 264U /* "host:port" */
#define FILE_MAX    131072U
#define PATH_BYTES  4096U

struct kept {
    char gateway[GATEWAY_MAX];
    char token[CLAW_TOKEN_MAX];
};

struct claw_identity {
    const struct alloc *alloc;
    _Atomic uint32_t users;
    struct claw_device device;
    pthread_mutex_t mutex;
    uint32_t count;
    struct kept kept[CLAW_IDENTITY_TOKENS_MAX]; /* the eldest first */
    char path[PATH_BYTES];
    char text[FILE_MAX]; /* of the file */
};

/* --- the text -----------------------------------------------------------------------------------
 */

static void hex_of(const uint8_t *bytes, size_t count, char *ret)
{
    for (size_t i = 0; i < count; i++) {
        snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
    }
}

static bool seed_of(const char *hex, uint8_t ret[CLAW_SEED_BYTES])
{
    uint64_t byte;
    if (strlen(hex) != (size_t)2 * CLAW_SEED_BYTES) {
        return false;
    }
    for (size_t i = 0; i < CLAW_SEED_BYTES; i++) {
        if (!text_parse_hex((struct slice){hex + 2 * i, 2}, &byte)) {
            return false;
        }
        ret[i] = (uint8_t)byte;
    }
    return true;
}

static size_t write_text(struct claw_identity *identity)
{
    char hex[2 * CLAW_SEED_BYTES + 1];
    struct json json = json_into(identity->text, sizeof identity->text);
    hex_of(identity->device.seed, CLAW_SEED_BYTES, hex);
    json_open(&json, NULL, '{');
    json_text(&json, "device", KIND);
    json_text(&json, "seed", hex);
    json_open(&json, "tokens", '[');
    for (uint32_t i = 0; i < identity->count; i++) {
        json_open(&json, NULL, '{');
        json_text(&json, "gateway", identity->kept[i].gateway);
        json_text(&json, "token", identity->kept[i].token);
        json_close(&json, '}');
    }
    json_close(&json, ']');
    json_close(&json, '}');
    explicit_bzero(hex, sizeof hex);
    return json.full ? 0 : json.len;
}

static bool member(struct slice object, struct slice name, char *ret, size_t size)
{
    struct slice value;
    return json_member(object, name, &value) && json_get_text(value, ret, size) != JSON_NO_TEXT;
}

static bool read_text(struct claw_identity *identity, struct slice text)
{
    char kind[32], hex[2 * CLAW_SEED_BYTES + 1];
    uint8_t seed[CLAW_SEED_BYTES];
    struct slice tokens, name, value;
    struct json_at at = {0};
    text = slice_trim(text);
    if (!json_check(text) || !json_is_object(text)
        || !member(text, SLICE("device"), kind, sizeof kind) || strcmp(kind, KIND) != 0
        || !member(text, SLICE("seed"), hex, sizeof hex) || !seed_of(hex, seed)
        || !claw_device_of(seed, &identity->device)) {
        return false;
    }
    explicit_bzero(seed, sizeof seed);
    explicit_bzero(hex, sizeof hex);
    while (json_member(text, SLICE("tokens"), &tokens) && identity->count < CLAW_IDENTITY_TOKENS_MAX
           && json_next(tokens, &at, &name, &value)) {
        struct kept *kept = &identity->kept[identity->count];
        identity->count += member(value, SLICE("gateway"), kept->gateway, sizeof kept->gateway)
                           && member(value, SLICE("token"), kept->token, sizeof kept->token);
    }
    return true;
}

/* --- the file -----------------------------------------------------------------------------------
 */

static int write_all(int fd, const char *at, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, at, len);
        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        at += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return fsync(fd) != 0 ? -errno : 0;
}

/* A file of that name beside it, which nobody else knows; its name is in `ret_name`. */
static int write_beside(struct claw_identity *identity, char ret_name[PATH_BYTES + 8])
{
    size_t len = write_text(identity);
    snprintf(ret_name, PATH_BYTES + 8, "%s.XXXXXX", identity->path);
    int fd = len > 0 ? mkostemp(ret_name, O_CLOEXEC) : -1; /* with mode 0600 */
    if (fd < 0) {
        return len > 0 ? -errno : -EFBIG;
    }
    int error = write_all(fd, identity->text, len);
    explicit_bzero(identity->text, len);
    close(fd);
    if (error != 0) {
        unlink(ret_name);
    }
    return error;
}

static int file_replace(struct claw_identity *identity)
{
    char name[PATH_BYTES + 8];
    int error = write_beside(identity, name);
    if (error == 0 && rename(name, identity->path) != 0) {
        error = -errno;
        unlink(name);
    }
    return error;
}

/* -EEXIST: somebody else was quicker. */
static int file_make(struct claw_identity *identity)
{
    char name[PATH_BYTES + 8];
    uint8_t seed[CLAW_SEED_BYTES];
    check(getrandom(seed, sizeof seed, 0) == sizeof seed);
    if (!claw_device_of(seed, &identity->device)) {
        return -ENOTSUP;
    }
    explicit_bzero(seed, sizeof seed);
    int error = write_beside(identity, name);
    if (error == 0) {
        error = link(name, identity->path) != 0 ? -errno : 0;
        unlink(name);
    }
    return error;
}

/* As much as there is, at most FILE_MAX. */
static int read_all(int fd, char *at, size_t *ret_len)
{
    ssize_t n;
    *ret_len = 0;
    do {
        n = read(fd, at + *ret_len, FILE_MAX - *ret_len);
        *ret_len += n > 0 ? (size_t)n : 0;
    } while (n > 0 && *ret_len < FILE_MAX);
    return n < 0 ? -errno : 0;
}

static int read_from(struct claw_identity *identity, int fd, char fault[CLAW_FAULT_MAX])
{
    struct stat stat;
    if (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode)) {
        snprintf(fault, CLAW_FAULT_MAX, "%.200s is not a file", identity->path);
        return -EINVAL;
    }
    if ((stat.st_mode & 077) != 0 || stat.st_uid != geteuid()) {
        snprintf(fault, CLAW_FAULT_MAX,
                 "%.200s is not ours alone (mode %04o, owner %u): it holds a device's secret; "
                 "chmod 600 it, or remove it to become another device",
                 identity->path, stat.st_mode & 07777U, (unsigned)stat.st_uid);
        return -EPERM;
    }
    size_t len;
    int error = read_all(fd, identity->text, &len);
    if (error != 0) {
        snprintf(fault, CLAW_FAULT_MAX, "%.200s: %s", identity->path, oserror_text(error));
        return error;
    }
    bool is_good = len < FILE_MAX
                   && read_text(identity, (struct slice){identity->text, (uint32_t)len});
    explicit_bzero(identity->text, len);
    if (!is_good) {
        snprintf(fault, CLAW_FAULT_MAX, "%.200s holds no device of weir's", identity->path);
    }
    return is_good ? 0 : -EINVAL;
}

static int load(struct claw_identity *identity, char fault[CLAW_FAULT_MAX])
{
    for (unsigned tries = 0; tries < 3; tries++) {
        int fd = open(identity->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd >= 0) {
            int error = read_from(identity, fd, fault);
            close(fd);
            return error;
        }
        int error = errno == ENOENT ? file_make(identity) : -errno;
        if (error != -EEXIST) {
            snprintf(fault, CLAW_FAULT_MAX, "%.200s: %s", identity->path, oserror_text(error));
            return error;
        }
    }
    snprintf(fault, CLAW_FAULT_MAX, "%.200s comes and goes", identity->path);
    return -EAGAIN;
}

/* --- as others see it ---------------------------------------------------------------------------
 */

int claw_identity_open(const char *path, const struct alloc *alloc,
                       struct claw_identity **ret_identity, char ret_fault[CLAW_FAULT_MAX])
{
    struct claw_identity *identity = alloc_zeroed(alloc, sizeof *identity);
    ret_fault[0] = '\0';
    if (identity == NULL) {
        return -ENOMEM;
    }
    identity->alloc = alloc;
    identity->users = 1;
    pthread_mutex_init(&identity->mutex, NULL);
    size_t len = strlen(path);
    memcpy(identity->path, path, len < PATH_BYTES ? len : 0);
    int error = len > 0 && len < PATH_BYTES ? load(identity, ret_fault) : -ENAMETOOLONG;
    if (error != 0) {
        claw_identity_free(identity);
        return error;
    }
    *ret_identity = identity;
    return 0;
}

struct claw_identity *claw_identity_join(struct claw_identity *identity)
{
    atomic_fetch_add(&identity->users, 1);
    return identity;
}

void claw_identity_free(struct claw_identity *take_identity)
{
    if (take_identity != NULL && atomic_fetch_sub(&take_identity->users, 1) <= 1) {
        const struct alloc *alloc = take_identity->alloc;
        pthread_mutex_destroy(&take_identity->mutex);
        explicit_bzero(take_identity, sizeof *take_identity);
        alloc_free(alloc, take_identity);
    }
}

const struct claw_device *claw_identity_device(const struct claw_identity *identity)
{
    return &identity->device;
}

/* Locked. */
static struct kept *find(struct claw_identity *identity, const char *gateway)
{
    for (uint32_t i = 0; i < identity->count; i++) {
        if (strcmp(identity->kept[i].gateway, gateway) == 0) {
            return &identity->kept[i];
        }
    }
    return NULL;
}

static void remove_at(struct claw_identity *identity, struct kept *kept)
{
    size_t behind = (size_t)(identity->kept + identity->count - kept) - 1;
    memmove(kept, kept + 1, behind * sizeof *kept);
    identity->count--;
}

bool claw_identity_token(struct claw_identity *identity, const char *gateway,
                         char ret_token[CLAW_TOKEN_MAX])
{
    pthread_mutex_lock(&identity->mutex);
    const struct kept *kept = find(identity, gateway);
    if (kept != NULL) {
        memcpy(ret_token, kept->token, sizeof kept->token);
    }
    pthread_mutex_unlock(&identity->mutex);
    return kept != NULL;
}

int claw_identity_keep(struct claw_identity *identity, const char *gateway, const char *token)
{
    int error = 0;
    if (strlen(gateway) >= GATEWAY_MAX || strlen(token) >= CLAW_TOKEN_MAX) {
        return -ENAMETOOLONG;
    }
    pthread_mutex_lock(&identity->mutex);
    struct kept *kept = find(identity, gateway);
    bool is_same = kept != NULL ? strcmp(kept->token, token) == 0 : token[0] == '\0';
    if (!is_same) {
        if (kept != NULL) {
            remove_at(identity, kept);
        }
        if (identity->count == CLAW_IDENTITY_TOKENS_MAX) {
            remove_at(identity, identity->kept);
        }
        if (token[0] != '\0') {
            kept = &identity->kept[identity->count++];
            snprintf(kept->gateway, sizeof kept->gateway, "%s", gateway);
            snprintf(kept->token, sizeof kept->token, "%s", token);
        }
        error = file_replace(identity);
    }
    pthread_mutex_unlock(&identity->mutex);
    return error;
}

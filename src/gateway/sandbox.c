/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox.c - which files the configuration names, and the order of things.
 *
 * /etc as a whole stays readable: hosts, resolv.conf and the trusted authorities are replaced there
 * by files of the same name while we run, which rules for single files would not follow. What is
 * secret in it is protected from any other user than root, which is what process.user is for.
 */
#include "gateway/sandbox.h"

#include "base/sanitized.h"
#include "base/text.h"
#include "gateway/config_claw.h"
#include "gateway/config_way.h"
#include "gateway/environment.h"
#include "gateway/filter.h"
#include "io/oserror.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOW_PORTS 1024U

enum stage { STAGE_OPEN, STAGE_ENTERED, STAGE_SEALED };

struct sandbox {
    enum config_sandbox mode;
    enum stage stage;
    char *user;
    char *folder; /* of sessions, or NULL: made before the fence closes */
    bool keeps_low_ports;
    struct fence *fence;
    int self; /* /proc/self, held so that its rule lasts */
    int landlock;
    char name[64]; /* of the user that it has become */
    char lacks[SANDBOX_LACKS_MAX];
};

__attribute__((format(printf, 3, 4))) static int fault(char *ret_fault, int error,
                                                       const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(ret_fault, SANDBOX_FAULT_MAX, format, args);
    va_end(args);
    return error;
}

/* --- what is asked for --------------------------------------------------------------------------
 */

/* What a process reads of the system, whoever configures it. */
static const char *const system_paths[] = {
    "/etc",                             /* hosts, resolv.conf, authorities */
    "/usr/lib/ssl",                     /* OpenSSL's configuration, */
    "/usr/share/ca-certificates",       /* and where authorities really are: Debian, */
    "/usr/local/share/ca-certificates", /* */
    "/usr/share/pki",                   /* others */
    "/run/systemd/resolve",             /* where /etc/resolv.conf may lead */
    "/run/resolvconf",                  /* */
    "/run/NetworkManager",              /* */
    "/proc/self",                       /* its own memory and descriptors */
    "/proc/sys/kernel/random",          /* which boot of the machine it is */
    "/proc/meminfo",                    /* how much memory there is: the machine's, */
    "/sys/fs/cgroup",                   /* and ours */
    "/dev/urandom",                     /* */
};

static void post_file(struct sandbox *s, const char *file)
{
    if (file[0] != '\0')
        fence_post_around(s->fence, file, FENCE_READ);
}

static void post_pair(struct sandbox *s, const struct config_certificate *pair)
{
    post_file(s, pair->certificate);
    post_file(s, pair->key);
}

static void post_devices(struct sandbox *s, const struct config_upstream *u)
{
    for (uint32_t i = 0; i < config_ways(u); i++) {
        const char *file = config_claw_of(u, i).identity;
        if (file[0] != '\0')
            fence_post_around(s->fence, file, FENCE_WRITE);
    }
}

static void post_writable(struct sandbox *s, const struct config *config)
{
    if (config->log.access[0] == '/')
        fence_post_around(s->fence, config->log.access, FENCE_WRITE);
    if (config->admin.address.unix_path[0] != '\0')
        fence_post_around(s->fence, config->admin.address.unix_path, FENCE_WRITE);
    if (config->sessions.path[0] != '\0')
        fence_post(s->fence, config->sessions.path, FENCE_WRITE);
    for (uint32_t i = 0; i < config->upstreams.count; i++)
        post_devices(s, &config->upstreams.at[i]);
    fence_post(s->fence, "/dev/null", FENCE_WRITE);
}

static void post_listener(struct sandbox *s, const struct config_listener *l)
{
    post_pair(s, &l->tls.pair);
    post_file(s, l->tls.client_ca);
    for (uint32_t i = 0; i < l->tls.certificates.count; i++)
        post_pair(s, &l->tls.certificates.at[i]);
}

static void post_upstream(struct sandbox *s, const struct config_upstream *u)
{
    post_file(s, u->tls.ca);
    post_file(s, u->proxy_tls.ca);
    post_file(s, u->discover.file);
    post_file(s, u->discover.ca);
    post_pair(s, &u->tls.pair);
}

static void post_readable(struct sandbox *s, const struct config *config)
{
    for (const struct config_source *i = config->sources; i != NULL; i = i->next)
        post_file(s, i->path);
    for (uint32_t i = 0; i < config->listeners.count; i++)
        post_listener(s, &config->listeners.at[i]);
    for (uint32_t i = 0; i < config->upstreams.count; i++)
        post_upstream(s, &config->upstreams.at[i]);
    post_file(s, config->sessions.redis.ca);
}

static void post_system(struct sandbox *s)
{
    for (size_t i = 0; i < sizeof(system_paths) / sizeof(system_paths[0]); i++)
        fence_post(s->fence, system_paths[i], FENCE_READ);
#ifdef BASE_SANITIZED
    static const char *const tools[] = {"/proc", "/usr", "/lib", "/proc/self/exe"};
    for (size_t i = 0; i < sizeof(tools) / sizeof(tools[0]); i++)
        fence_post_around(s->fence, tools[i], FENCE_READ); /* reports name functions and lines */
#endif
#ifdef WEIR_COVERAGE
    char program[4096];
    ssize_t len = readlink("/proc/self/exe", program, sizeof(program) - 1);
    program[len > 0 ? len : 0] = '\0';
    fence_post_around(s->fence, program, FENCE_WRITE); /* counters are written beside it */
#endif
}

static bool is_low(const struct config_address *address)
{
    return address->port > 0 && address->port < LOW_PORTS;
}

/* A reload may close a low port and open another; without any at start it needs none. */
static bool has_low_ports(const struct config *config)
{
    bool any = is_low(&config->admin.address);
    for (uint32_t i = 0; i < config->listeners.count; i++)
        any = any || is_low(&config->listeners.at[i].address);
    return any;
}

struct sandbox *sandbox_new_bare(void)
{
    struct sandbox *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    s->mode = SANDBOX_AUTO;
    s->self = -1;
    s->user = calloc(1, 1);
    s->fence = fence_new();
    if (s->user != NULL && s->fence != NULL)
        return s;
    sandbox_free(s);
    return NULL;
}

/* Where paths lead is found now, while everything can be seen; the folder of sessions, which may
 * not be there yet, when it is entered. */
struct sandbox *sandbox_new(const struct config *config)
{
    struct sandbox *s = sandbox_new_bare();
    if (s == NULL)
        return NULL;
    free(s->user);
    s->user = strdup(config->process.user);
    s->mode = config->process.sandbox;
    s->keeps_low_ports = has_low_ports(config);
    s->folder = strdup(config->sessions.path);
    if (s->user == NULL || s->folder == NULL) {
        sandbox_free(s);
        return NULL;
    }
    post_readable(s, config);
    post_writable(s, config);
    return s;
}

void sandbox_free(struct sandbox *take_sandbox)
{
    if (take_sandbox == NULL)
        return;
    if (take_sandbox->self >= 0)
        close(take_sandbox->self);
    fence_free(take_sandbox->fence);
    free(take_sandbox->user);
    free(take_sandbox->folder);
    free(take_sandbox);
}

/* --- what becomes of it -------------------------------------------------------------------------
 */

/* With `auto` it is noted what there is not; with `on` that is the end. */
static int lack(struct sandbox *s, const char *what, int error, char *ret_fault)
{
    size_t len = strlen(s->lacks);
    if (s->mode == SANDBOX_ON)
        return fault(ret_fault, error,
                     "process.sandbox: on, but %s is not to be had here: %s; `auto` serves without",
                     what, oserror_text(error));
    snprintf(s->lacks + len, sizeof(s->lacks) - len, "%s%s: %s", len > 0 ? "; " : "", what,
             oserror_text(error));
    return 0;
}

static int shed(struct sandbox *s, char *ret_fault)
{
    const struct privileges_wish wish = {
        .user = s->user, .keeps_low_ports = s->keeps_low_ports, .sheds = s->mode != SANDBOX_OFF};
    int error = privileges_drop(&wish, ret_fault, SANDBOX_FAULT_MAX);
    if (error != 0 && s->user[0] == '\0') /* a supervisor's filter forbids it */
        error = lack(s, "giving up capabilities", error, ret_fault);
    if (error == 0 && s->mode == SANDBOX_ON && geteuid() == 0 && s->user[0] == '\0')
        return fault(ret_fault, -EPERM,
                     "process.sandbox: on, and this is root; name a process.user, or say "
                     "`process: { user: root }` if it must be");
    return error;
}

static int close_fence(struct sandbox *s, char *ret_fault)
{
    if (s->folder != NULL && s->folder[0] != '\0') {
        int failed = mkdir(s->folder, 0700); /* there already, or the journal will say why not */
        (void)failed;
        fence_post(s->fence, s->folder, FENCE_WRITE);
    }
    s->self = open("/proc/self", O_PATH | O_CLOEXEC);
    post_system(s);
    int version = fence_close(s->fence);
    if (version < 0)
        return lack(s, "Landlock", version, ret_fault);
    s->landlock = version;
    return 0;
}

void sandbox_cede(const struct sandbox *s, int fd)
{
    if (s != NULL && s->user != NULL)
        privileges_cede(s->user, fd);
}

int sandbox_enter(struct sandbox *s, char ret_fault[static SANDBOX_FAULT_MAX])
{
    if (s->stage != STAGE_OPEN)
        return 0;
    environment_hide();
    int error = shed(s, ret_fault);
    if (error != 0)
        return error;
    privileges_user_name(geteuid(), s->name, sizeof(s->name));
    s->stage = STAGE_ENTERED;
    return s->mode == SANDBOX_OFF ? 0 : close_fence(s, ret_fault);
}

int sandbox_seal(struct sandbox *s, char ret_fault[static SANDBOX_FAULT_MAX])
{
    if (s->stage != STAGE_ENTERED || s->mode == SANDBOX_OFF)
        return 0;
    s->stage = STAGE_SEALED;
    int error = filter_close();
    return error == 0 ? 0 : lack(s, "seccomp", error, ret_fault);
}

/* --- what is in force ---------------------------------------------------------------------------
 */

bool sandbox_allows(const struct sandbox *s, const char *path, enum fence_right right)
{
    return s == NULL || fence_allows(s->fence, path, right);
}

void sandbox_facts(const struct sandbox *s, struct sandbox_facts *ret)
{
    *ret = (struct sandbox_facts){.seccomp = filter_is_closed(), .word = "off"};
    privileges_facts(&ret->rights);
    privileges_print(ret->rights.capabilities, ret->capabilities, sizeof(ret->capabilities));
    if (s == NULL || s->name[0] == '\0')
        snprintf(ret->user, sizeof(ret->user), "%u", ret->rights.uid);
    else
        slice_copy(ret->user, sizeof(ret->user), slice_of(s->name));
    if (s == NULL || s->mode == SANDBOX_OFF)
        return;
    ret->landlock = s->landlock;
    ret->word = s->lacks[0] == '\0' ? "on" : "partial";
    slice_copy(ret->lacks, sizeof(ret->lacks), slice_of(s->lacks));
}

void sandbox_log(const struct sandbox *s, const struct log_sink *log)
{
    struct sandbox_facts facts;
    if (s == NULL)
        return;
    sandbox_facts(s, &facts);
    log_to(log, LOG_INFO_LEVEL, "sandbox", log_text("user", facts.user),
           log_text("capabilities", facts.capabilities), log_text("sandbox", facts.word),
           log_u64("landlock", (uint64_t)facts.landlock), log_bool("seccomp", facts.seccomp));
    if (facts.lacks[0] != '\0')
        log_to(log, LOG_WARN_LEVEL, "sandbox is partial", log_text("lacks", facts.lacks));
    if (facts.rights.uid == 0 && s->user[0] == '\0')
        log_to(log, LOG_WARN_LEVEL, "serving as root",
               log_text("instead", "name a process.user, or say process.user: root"));
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * From a configuration to a key and an account; and what is known of a gateway.
 *
 * Keys differ where configurations do: of two that differ in what a key does not say (token,
 * password, device, path, scopes) the second one's tenant ends in "#2".
 */
#include "base/check.h"
#include "client/openclaw.h"
#include "connector/tunnel.h"
#include "proto/url.h"

#define XXH_INLINE_ALL
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

#define SCOPES_MAX 64U

static uint64_t unix_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- making one ---------------------------------------------------------------------------------
 */

struct draft {
    const weir_openclaw_config *config;
    struct weir_openclaw_gateway *gateway;
    struct url url;
    char *url_text;
    const char *tls; /* the profile's fingerprint */
    bool is_tls;
};

static bool is_given(const char *text)
{
    return text != NULL && text[0] != '\0';
}

static size_t room_of(const char *text)
{
    return text != NULL ? strlen(text) + 1 : 0;
}

/* ws is http to whoever parses, and wss https. */
static weir_err read_url(struct draft *draft)
{
    const struct alloc *alloc = draft->gateway->claw->alloc;
    const char *text = draft->config->url;
    struct slice all = slice_of(text);
    draft->is_tls = all.len >= 6 && slice_same_nocase(slice_sub(all, 0, 6), SLICE("wss://"));
    bool is_ws = all.len >= 5 && slice_same_nocase(slice_sub(all, 0, 5), SLICE("ws://"));
    if ((!draft->is_tls && !is_ws) || strchr(text, '#') != NULL || all.len > URL_BYTES_MAX) {
        return ground_fault(WEIR_EINVAL, "url");
    }
    char *http = alloc_new(alloc, all.len + 4);
    if (http == NULL) {
        return WEIR_ENOMEM;
    }
    int len = snprintf(http, all.len + 4, "http%s", text + 2);
    const struct slice url = {http, (uint32_t)len};
    draft->url_text = alloc_new(alloc, url_room(url));
    bool is_url = draft->url_text != NULL && url_parse(url, draft->url_text, &draft->url);
    alloc_free(alloc, http);
    return is_url                    ? WEIR_OK
           : draft->url_text == NULL ? WEIR_ENOMEM
                                     : ground_fault(WEIR_EINVAL, "url");
}

static const char *put(char **at, const char *text)
{
    size_t size = room_of(text);
    if (size == 0) {
        return NULL;
    }
    char *copy = *at;
    memcpy(copy, text, size);
    *at += size;
    return copy;
}

static char *put_slice(char **at, struct slice text)
{
    char *copy = *at;
    if (text.len > 0) {
        memcpy(copy, text.at, text.len);
    }
    copy[text.len] = '\0';
    *at += text.len + 1;
    return copy;
}

static weir_err read_tls(struct draft *draft)
{
    struct tls_profile *profile;
    const char *fault;
    if (!draft->is_tls) {
        return WEIR_OK;
    }
    weir_err err = claw_profile(draft->gateway->claw, false, &profile, &fault);
    if (err == WEIR_OK) {
        draft->tls = tls_profile_fingerprint(profile);
    }
    return err == WEIR_EINVAL ? ground_fault(err, fault) : err;
}

static weir_err copy_texts(struct draft *draft)
{
    struct weir_openclaw_gateway *gateway = draft->gateway;
    const weir_openclaw_config *config = draft->config;
    struct claw_account *account = &gateway->account;
    const struct url *url = &draft->url;
    size_t size = room_of(config->token) + room_of(config->password) + room_of(config->device_file)
                  + url->path.len + 1 + url->authority.len + 16
                  + config->scopes_count * sizeof(char *);
    for (size_t i = 0; i < config->scopes_count; i++) {
        size += room_of(config->scopes[i]);
    }
    gateway->texts = alloc_new(gateway->claw->alloc, size);
    if (gateway->texts == NULL) {
        return WEIR_ENOMEM;
    }
    gateway->scopes = (char **)(void *)gateway->texts; /* first: they are aligned */
    gateway->scopes_count = config->scopes_count;
    char *at = gateway->texts + config->scopes_count * sizeof(char *);
    for (size_t i = 0; i < config->scopes_count; i++) {
        gateway->scopes[i] = put_slice(&at, slice_of(config->scopes[i]));
    }
    account->path = put_slice(&at, url->path);
    gateway->base_url = at;
    at += sprintf(at, "http%s://%.*s", draft->is_tls ? "s" : "", SLICE_ARG(url->authority)) + 1;
    account->token = is_given(config->token) ? put(&at, config->token) : NULL;
    account->password = is_given(config->password) ? put(&at, config->password) : NULL;
    gateway->device_file = is_given(config->device_file) ? put(&at, config->device_file) : NULL;
    account->version = WEIR_VERSION;
    account->scopes = config->scopes_count > 0 ? (const char *const *)gateway->scopes : NULL;
    account->scopes_count = config->scopes_count;
    account->user = gateway;
    gateway->is_tls = draft->is_tls;
    return WEIR_OK;
}

static weir_err make_key(struct draft *draft, uint32_t number)
{
    struct weir_openclaw_gateway *gateway = draft->gateway;
    const weir_openclaw_config *config = draft->config;
    const struct alloc *alloc = gateway->claw->alloc;
    char host[256], tenant[512];
    const char *account = is_given(config->account) ? config->account : "";
    slice_copy(host, sizeof host, draft->url.host);
    if (number > 1) {
        snprintf(tenant, sizeof tenant, "%s#%u", account, number);
        account = tenant;
    }
    const weir_key key = {
        .scheme = draft->is_tls ? "wss" : "ws",
        .host = host,
        .port = draft->url.port,
        .source = is_given(config->source) ? config->source : NULL,
        .proxy = is_given(config->proxy) ? config->proxy : NULL,
        .tls = draft->tls,
        .tenant = account[0] != '\0' ? account : NULL,
    };
    key_copy_fini(alloc, &gateway->key);
    gateway->number = number;
    return key_copy_init(alloc, &key, &gateway->key) ? WEIR_OK : WEIR_ENOMEM;
}

static const char *fault_of(const weir_openclaw_config *config)
{
    struct proxy proxy;
    if (config->size > sizeof *config) {
        return "size";
    }
    if (config->url == NULL) {
        return "url";
    }
    if (config->account != NULL
        && (strlen(config->account) > 255 || strchr(config->account, '#') != NULL)) {
        return "account";
    }
    if (room_of(config->token) > CLAW_TOKEN_MAX) {
        return "token";
    }
    if (room_of(config->password) > CLAW_TOKEN_MAX) {
        return "password";
    }
    if (config->scopes_count > SCOPES_MAX) {
        return "scopes";
    }
    for (size_t i = 0; i < config->scopes_count; i++) {
        if (!is_given(config->scopes[i])) {
            return "scopes";
        }
    }
    return is_given(config->proxy) && !proxy_parse(slice_of(config->proxy), &proxy) ? "proxy"
                                                                                    : NULL;
}

static void gateway_free(struct weir_openclaw_gateway *gateway)
{
    const struct alloc *alloc = gateway->claw->alloc;
    claw_account_fini(&gateway->account);
    key_copy_fini(alloc, &gateway->key);
    alloc_free(alloc, gateway->texts);
    alloc_free(alloc, gateway);
}

/* --- device files: one identity for each ---------------------------------------------------------
 */

/* Locked. */
static weir_err file_of(struct weir_openclaw *claw, const char *path, struct claw_file **ret_file)
{
    static _Thread_local char said[CLAW_FAULT_MAX]; /* until the thread's next fault */
    struct claw_file *file = claw->files;
    while (file != NULL && strcmp(file->path, path) != 0) {
        file = file->next;
    }
    if (file != NULL) {
        *ret_file = file;
        return WEIR_OK;
    }
    size_t size = strlen(path) + 1;
    file = alloc_zeroed(claw->alloc, sizeof *file + size);
    if (file == NULL) {
        return WEIR_ENOMEM;
    }
    memcpy(file->path, path, size);
    int error = claw_identity_open(path, claw->alloc, &file->identity, said);
    if (error != 0) {
        alloc_free(claw->alloc, file);
        ground_note_fault(said[0] != '\0' ? said : "device_file");
        return error == -ENOMEM                                                ? WEIR_ENOMEM
               : error == -EPERM || error == -EINVAL || error == -ENAMETOOLONG ? WEIR_EINVAL
                                                                               : WEIR_EIO;
    }
    file->next = claw->files;
    claw->files = file;
    *ret_file = file;
    return WEIR_OK;
}

/* --- one for each configuration -----------------------------------------------------------------
 */

static bool same_text(const char *a, const char *b)
{
    return strcmp(a != NULL ? a : "", b != NULL ? b : "") == 0;
}

static bool same_endpoint(const struct weir_openclaw_gateway *a, const weir_key *b)
{
    const weir_key *key = &a->key.view;
    const char *tenant = key->tenant != NULL ? key->tenant : "";
    size_t len = strcspn(tenant, "#");
    const char *other = b->tenant != NULL ? b->tenant : "";
    return same_text(key->scheme, b->scheme) && same_text(key->host, b->host)
           && key->port == b->port && same_text(key->source, b->source)
           && same_text(key->proxy, b->proxy) && same_text(key->tls, b->tls) && strlen(other) == len
           && memcmp(tenant, other, len) == 0;
}

static bool same_account(const struct weir_openclaw_gateway *a,
                         const struct weir_openclaw_gateway *b)
{
    bool is_same = a->scopes_count == b->scopes_count && same_text(a->account.path, b->account.path)
                   && same_text(a->account.token, b->account.token)
                   && same_text(a->account.password, b->account.password)
                   && same_text(a->device_file, b->device_file);
    for (size_t i = 0; i < a->scopes_count && is_same; i++) {
        is_same = strcmp(a->scopes[i], b->scopes[i]) == 0;
    }
    return is_same;
}

/* Locked. The gateway that is there, or NULL; and how many there are of its endpoint and account.
 */
static struct weir_openclaw_gateway *find_same(const struct weir_openclaw *claw,
                                               const struct weir_openclaw_gateway *like,
                                               uint32_t *ret_count)
{
    struct weir_openclaw_gateway *it = claw->gateways;
    *ret_count = 0;
    for (; it != NULL; it = it->next) {
        if (same_endpoint(it, &like->key.view)) {
            ++*ret_count;
            if (same_account(it, like)) {
                return it;
            }
        }
    }
    return NULL;
}

static struct claw_post *home_of(const struct weir_openclaw *claw, const weir_key *key)
{
    uint64_t hash = XXH3_64bits_withSeed(key->host, strlen(key->host), key->port);
    return claw->posts[hash % claw->posts_count];
}

/* Locked. */
static void add(struct weir_openclaw *claw, struct weir_openclaw_gateway *take_gateway)
{
    take_gateway->post = home_of(claw, &take_gateway->key.view);
    *claw->gateways_end = take_gateway;
    claw->gateways_end = &take_gateway->next;
    claw->gateways_count++;
}

/* Locked. */
static weir_err find_or_add(struct draft *draft, struct weir_openclaw_gateway **ret_gateway)
{
    struct weir_openclaw_gateway *mine = draft->gateway;
    struct weir_openclaw *claw = mine->claw;
    uint32_t count;
    *ret_gateway = find_same(claw, mine, &count);
    if (*ret_gateway != NULL) {
        return WEIR_OK;
    }
    if (claw->gateways_count >= claw->opt.gateways_max) {
        return WEIR_EFULL;
    }
    weir_err err = WEIR_OK;
    if (mine->device_file != NULL) {
        err = file_of(claw, mine->device_file, &mine->file);
        mine->account.identity = err == WEIR_OK ? mine->file->identity : NULL;
    }
    if (err == WEIR_OK && count > 0) {
        err = make_key(draft, count + 1);
    }
    if (err == WEIR_OK) {
        add(claw, mine);
        *ret_gateway = mine;
    }
    return err;
}

weir_err weir_openclaw_gateway_of(weir_openclaw *claw, const weir_openclaw_config *config,
                                  weir_openclaw_gateway **ret_gateway)
{
    const char *fault = fault_of(config);
    if (fault != NULL) {
        return ground_fault(WEIR_EINVAL, fault);
    }
    if (atomic_load(&claw->is_closing)) {
        return WEIR_ECLOSED;
    }
    struct weir_openclaw_gateway *found = NULL;
    struct draft draft = {.config = config,
                          .gateway = alloc_zeroed(claw->alloc, sizeof *draft.gateway)};
    if (draft.gateway == NULL) {
        return WEIR_ENOMEM;
    }
    draft.gateway->claw = claw;
    draft.gateway->arg = config->arg;
    weir_err err = read_url(&draft);
    err = err == WEIR_OK ? read_tls(&draft) : err;
    err = err == WEIR_OK ? copy_texts(&draft) : err;
    err = err == WEIR_OK ? make_key(&draft, 1) : err;
    if (err == WEIR_OK) {
        claw_lock(claw);
        err = find_or_add(&draft, &found);
        claw_unlock(claw);
    }
    alloc_free(claw->alloc, draft.url_text);
    if (found != draft.gateway) {
        gateway_free(draft.gateway);
    }
    if (err == WEIR_OK) {
        *ret_gateway = found;
    }
    return err;
}

void claw_gateways_free(struct weir_openclaw *claw)
{
    while (claw->gateways != NULL) {
        struct weir_openclaw_gateway *gateway = claw->gateways;
        claw->gateways = gateway->next;
        gateway_free(gateway);
    }
    while (claw->files != NULL) {
        struct claw_file *file = claw->files;
        claw->files = file->next;
        claw_identity_free(file->identity);
        alloc_free(claw->alloc, file);
    }
}

struct weir_openclaw_gateway *claw_gateway_find(struct claw_post *post, const weir_key *key)
{
    struct weir_openclaw *claw = post->claw;
    claw_lock(claw);
    struct weir_openclaw_gateway *it = claw->gateways;
    for (; it != NULL; it = it->next) {
        const weir_key *mine = &it->key.view;
        if (mine->port == key->port && same_text(mine->host, key->host)
            && same_text(mine->tenant, key->tenant) && same_text(mine->scheme, key->scheme)
            && same_text(mine->proxy, key->proxy) && same_text(mine->tls, key->tls)
            && same_text(mine->source, key->source)) {
            break;
        }
    }
    claw_unlock(claw);
    return it;
}

/* --- what is known of it ------------------------------------------------------------------------
 */

static bool is_meant(weir_err why)
{
    switch (why) {
    case WEIR_EIDLE:
    case WEIR_EAGE:
    case WEIR_EUSES:
    case WEIR_EADDRESS:
    case WEIR_EEVICTED:
    case WEIR_ESURPLUS:
    case WEIR_EFLUSHED:
    case WEIR_ERETIRED:
    case WEIR_ECLOSED: return true;
    default: return false;
    }
}

static void fault(struct weir_openclaw_gateway *gateway, weir_err why)
{
    weir_openclaw_info *info = &gateway->info;
    const struct claw_refusal *refusal = &gateway->account.refusal;
    info->errors++;
    info->last_error = why;
    bool is_said = why == WEIR_EDENIED && refusal->message[0] != '\0';
    snprintf(info->last_error_text, sizeof info->last_error_text, "%s",
             is_said ? refusal->message : weir_err_text(why));
}

void claw_gateway_heard(struct claw_post *post, const weir_event *event)
{
    struct weir_openclaw_gateway *gateway = event->key != NULL ? claw_gateway_find(post, event->key)
                                                               : NULL;
    if (gateway == NULL) {
        return;
    }
    weir_openclaw_info *info = &gateway->info;
    claw_lock(post->claw);
    if (event->kind == WEIR_EVENT_CONNECTION_ADDED) {
        atomic_fetch_add(&post->connects, 1);
        info->status = WEIR_OPENCLAW_CONNECTED;
        info->created_unix_ms = unix_ms();
    } else if (event->kind == WEIR_EVENT_CONNECTION_REMOVED && is_meant(event->why)) {
        info->status = WEIR_OPENCLAW_DISCONNECTED;
    } else if (event->kind == WEIR_EVENT_CONNECTION_REMOVED) {
        atomic_fetch_add(&post->losses, 1);
        info->status = WEIR_OPENCLAW_RECONNECTING;
        fault(gateway, event->why);
    } else if (event->kind == WEIR_EVENT_CONNECTION_ERROR) {
        info->status = WEIR_OPENCLAW_RECONNECTING;
        fault(gateway, event->why);
    } else if (event->kind == WEIR_EVENT_KEY_DOWN) {
        info->status = WEIR_OPENCLAW_ERROR;
        fault(gateway, event->why);
    }
    claw_unlock(post->claw);
}

void claw_gateway_greeted(struct weir_openclaw_gateway *gateway, const struct claw_hello *hello)
{
    claw_lock(gateway->claw);
    gateway->info.protocol = hello->protocol;
    gateway->info.tick_interval_ms = hello->tick_interval_ms;
    gateway->info.payload_max = hello->payload_max;
    claw_unlock(gateway->claw);
}

const char *weir_openclaw_status_word(weir_openclaw_status status)
{
    static const char *const words[] = {"disconnected", "connected", "reconnecting", "error"};
    return (size_t)status < sizeof words / sizeof *words ? words[status] : "unknown";
}

/* Locked. */
static void show(const struct weir_openclaw_gateway *gateway, weir_openclaw_info *ret_info)
{
    *ret_info = gateway->info;
    ret_info->size = sizeof *ret_info;
    ret_info->gateway = (struct weir_openclaw_gateway *)(uintptr_t)gateway;
    ret_info->key = &gateway->key.view;
    ret_info->arg = gateway->arg;
    ret_info->in_flight = atomic_load(&gateway->in_flight);
    ret_info->used_unix_ms = atomic_load(&gateway->used_unix_ms);
}

void weir_openclaw_info_of(weir_openclaw_gateway *gateway, weir_openclaw_info *ret_info)
{
    claw_lock(gateway->claw);
    show(gateway, ret_info);
    claw_unlock(gateway->claw);
}

void weir_openclaw_each(weir_openclaw *claw, bool (*fn)(void *arg, const weir_openclaw_info *info),
                        void *arg)
{
    weir_openclaw_info info;
    bool goes_on = true;
    claw_lock(claw);
    struct weir_openclaw_gateway *it = claw->gateways;
    claw_unlock(claw);
    while (it != NULL && goes_on) { /* none goes before the client does */
        claw_lock(claw);
        show(it, &info);
        it = it->next;
        claw_unlock(claw);
        goes_on = fn(arg, &info);
    }
}

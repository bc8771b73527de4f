/* SPDX-License-Identifier: Apache-2.0
 *
 * An entry is a name and what is known of it: LOOKING (c-ares has been asked; those who asked wait
 * on it) or KNOWN (an answer or a failure, until it expires). Entries stand in a map by name and on
 * one of two lists: `looking`, or `known` in order of use, whose first is given up when there are
 * too many. A look-up has two halves, one for each family; the answer of the first that has
 * addresses is enough for who waits, a moment later, and the entry goes on looking without them.
 *
 * c-ares calls back from inside its own functions. An answer is therefore only noted there, and
 * handed out later in the turn, when whoever is told may do what he likes.
 */
#include "io/dns.h"

#include "base/map.h"
#include "base/text.h"
#include "io/dns_parts.h"
#include "io/file.h"
#include "io/hosts.h"
#include "io/prefer.h"
#include "io/watch.h"

#include <ares.h>
#include <ares_version.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <string.h>
#include <strings.h>
#include <xxhash.h>

#define ENTRIES_MAX     1024U
#define LOOKUPS_MAX     256U
#define TTL_MAX_MS      300000U
#define TTL_MIN_MS      1000U
#define NEGATIVE_TTL_MS 1000U
#define HOSTS_TTL_MS    5000U /* how soon a changed hosts file shows */
#define HOSTS_BYTES_MAX ((size_t)1024 * 1024)
#define TIMEOUT_MS      2000U
#define TRIES           2U
#define LABEL_MAX       63U

/* What one family said. */
struct half {
    struct entry *entry;
    enum dns_error error; /* DNS_LATER: it has not answered yet */
    uint32_t ttl_ms;
    uint32_t count;
    bool is_cut;        /* there were more */
    bool is_as_asked;   /* found under the very name, or under... */
    uint64_t name_hash; /* ... this one: through an alias, or a domain that is searched */
    struct ip at[DNS_ADDRESSES_MAX];
};

struct entry {
    struct node node; /* on dns->looking, dns->known or dns->answered */
    struct dns *dns;
    struct list waiters; /* struct dns_query */
    uint64_t hash;
    uint64_t expires_ms;
    uint64_t early_ms;    /* looking, and one half is enough from then on; 0: it is not */
    enum dns_error error; /* DNS_LATER: looking */
    uint32_t turn;        /* how often it was used: what rotates */
    struct dns_answer answer;
    struct half halves[2];       /* of IPv4 and IPv6 */
    char name[DNS_NAME_MAX + 2]; /* lower case */
};

/* A descriptor of c-ares's. */
struct conduit {
    struct node node;
    struct watch watch;
    struct dns *dns;
};

struct dns {
    struct loop *loop;
    struct dns_options opt;
    const char *hosts_path;
    ares_channel channel;
    struct list conduits;
    struct map entries;
    struct list looking, known;
    struct list answered;    /* struct entry by `node`: waiters to be told */
    struct loop_timer timer; /* c-ares's */
    struct loop_timer delay; /* the earliest early_ms */
    struct loop_later tell;
    struct dns_counts counts;
};

static void on_socket_state(void *self, ares_socket_t fd, int readable, int writable);
static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *result);
static void on_timer(struct loop_timer *timer, uint64_t now_ms);
static void on_delay(struct loop_timer *timer, uint64_t now_ms);
static void tell_waiters(struct loop_later *later);
static enum dns_error look_up(struct dns *dns, struct entry *entry);
static void entry_free(struct dns *dns, struct entry *entry);

/* --- life ---------------------------------------------------------------------------------------
 */

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value > 0 ? value : otherwise;
}

static int library_error;

static void library_init(void)
{
    library_error = ares_library_init(ARES_LIB_INIT_ALL);
}

static int channel_open(struct dns *dns)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, library_init);
    if (library_error != ARES_SUCCESS) {
        return -ENOMEM;
    }
    char lookups[] = "b"; /* the hosts file is ours to read */
    struct ares_options opt = {
        .flags = ARES_FLAG_NOALIASES,
        .timeout = (int)or_default(dns->opt.timeout_ms, TIMEOUT_MS),
        .tries = (int)or_default(dns->opt.tries, TRIES),
        .lookups = lookups,
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = dns,
    };
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS
               | ARES_OPT_SOCK_STATE_CB;
    int status = ares_init_options(&dns->channel, &opt, mask);
    if (status != ARES_SUCCESS) {
        return status == ARES_ENOMEM ? -ENOMEM : -EIO;
    }
    if (dns->opt.servers != NULL
        && ares_set_servers_ports_csv(dns->channel, dns->opt.servers) != ARES_SUCCESS) {
        ares_destroy(dns->channel);
        return -EINVAL;
    }
    return 0;
}

int dns_open(struct loop *loop, const struct dns_options *opt, struct dns **ret_dns)
{
    struct dns *dns = alloc_zeroed(loop_alloc(loop), sizeof *dns);
    if (dns == NULL) {
        return -ENOMEM;
    }
    dns->loop = loop;
    dns->opt = opt != NULL ? *opt : (struct dns_options){0};
    dns->opt.entries_max = or_default(dns->opt.entries_max, ENTRIES_MAX);
    dns->opt.lookups_max = or_default(dns->opt.lookups_max, LOOKUPS_MAX);
    dns->opt.ttl_max_ms = or_default(dns->opt.ttl_max_ms, TTL_MAX_MS);
    dns->opt.ttl_min_ms = or_default(dns->opt.ttl_min_ms, TTL_MIN_MS);
    dns->opt.negative_ttl_ms = or_default(dns->opt.negative_ttl_ms, NEGATIVE_TTL_MS);
    dns->hosts_path = dns->opt.hosts_path != NULL ? dns->opt.hosts_path : "/etc/hosts";
    dns->timer.fire = on_timer;
    dns->delay.fire = on_delay;
    dns->tell.run = tell_waiters;
    list_init(&dns->conduits);
    list_init(&dns->looking);
    list_init(&dns->known);
    list_init(&dns->answered);
    int error = map_init(&dns->entries, loop_alloc(loop), dns->opt.entries_max) ? 0 : -ENOMEM;
    if (error == 0) {
        error = channel_open(dns);
        if (error != 0) {
            map_fini(&dns->entries);
        }
    }
    if (error != 0) {
        alloc_free(loop_alloc(loop), dns);
        return error;
    }
    *ret_dns = dns;
    return 0;
}

void dns_close(struct dns *dns)
{
    ares_destroy(dns->channel); /* ends every look-up, closes every conduit */
    check(dns->looking.count == 0 && dns->conduits.count == 0);
    while (dns->answered.count > 0) {
        struct entry *entry = container_of(list_first(&dns->answered), struct entry, node);
        check(entry->waiters.count == 0);
        list_move_back(&dns->answered, &dns->known, &entry->node);
    }
    dns_flush(dns);
    loop_timer_stop(dns->loop, &dns->timer);
    loop_timer_stop(dns->loop, &dns->delay);
    loop_later_cancel(dns->loop, &dns->tell);
    map_fini(&dns->entries);
    alloc_free(loop_alloc(dns->loop), dns);
}

/* --- asking -------------------------------------------------------------------------------------
 */

/* Letters, digits, '-' and '_' in labels of 1 to 63; one dot at the end is allowed. In lower case
 * to *ret. */
static bool name_fold(const char *name, char ret[static DNS_NAME_MAX + 2])
{
    size_t len = 0, label = 0;
    for (; name[len] != '\0'; len++) {
        char c = text_lower(name[len]);
        bool is_label = (c >= 'a' && c <= 'z') || text_is_digit(c) || c == '-' || c == '_';
        label = is_label ? label + 1 : 0;
        if (len > DNS_NAME_MAX || label > LABEL_MAX || (!is_label && c != '.')
            || (c == '.' && (len == 0 || ret[len - 1] == '.'))) {
            return false;
        }
        ret[len] = c;
    }
    ret[len] = '\0';
    return len > 0 && len - (ret[len - 1] == '.') <= DNS_NAME_MAX;
}

static bool same_name(const void *value, const void *key)
{
    return strcmp(((const struct entry *)value)->name, key) == 0;
}

/* The answer, each family turned by `turn` in the places it has. */
static void rotate(const struct dns_answer *from, uint32_t turn, struct dns_answer *ret)
{
    uint32_t of_family[2][DNS_ADDRESSES_MAX], counts[2] = {0}, used[2] = {0};
    for (uint32_t i = 0; i < from->count; i++) {
        int family = from->at[i].family == AF_INET6;
        of_family[family][counts[family]++] = i;
    }
    for (uint32_t i = 0; i < from->count; i++) {
        int family = from->at[i].family == AF_INET6;
        uint32_t pick = (used[family]++ + turn) % counts[family];
        ret->at[i] = from->at[of_family[family][pick]];
    }
    ret->count = from->count;
    ret->is_partial = from->is_partial;
}

/* What is known, or one half of it. */
static enum dns_error answer_of(struct entry *entry, const struct dns_query *query,
                                struct dns_answer *ret_answer)
{
    uint64_t now_ms = loop_now_ms(entry->dns->loop);
    if (entry->error != DNS_OK && entry->error != DNS_LATER) {
        return entry->error;
    }
    rotate(&entry->answer, entry->turn, ret_answer);
    entry->turn += !query->only_looks;
    ret_answer->ttl_ms = entry->error == DNS_OK && entry->expires_ms > now_ms
                             ? (uint32_t)(entry->expires_ms - now_ms)
                             : 0;
    return DNS_OK;
}

static bool is_early(const struct entry *entry)
{
    return entry->early_ms != 0 && loop_now_ms(entry->dns->loop) >= entry->early_ms;
}

static struct entry *entry_new(struct dns *dns, const char *name, uint64_t hash)
{
    if (dns->entries.count >= dns->opt.entries_max) {
        struct node *oldest = list_first(&dns->known);
        if (oldest == NULL) {
            return NULL;
        }
        entry_free(dns, container_of(oldest, struct entry, node));
        dns->counts.evicted++;
    }
    struct entry *entry = alloc_zeroed(loop_alloc(dns->loop), sizeof *entry);
    if (entry == NULL || !map_put(&dns->entries, hash, entry)) {
        alloc_free(loop_alloc(dns->loop), entry);
        return NULL;
    }
    entry->dns = dns;
    entry->hash = hash;
    list_init(&entry->waiters);
    slice_copy(entry->name, sizeof entry->name, slice_of(name));
    list_push_back(&dns->known, &entry->node);
    return entry;
}

static void entry_free(struct dns *dns, struct entry *entry)
{
    check(entry->waiters.count == 0);
    map_remove(&dns->entries, entry->hash, entry);
    list_leave(&entry->node);
    alloc_free(loop_alloc(dns->loop), entry);
}

enum dns_error dns_resolve(struct dns *dns, const char *name, struct dns_query *query,
                           struct dns_answer *ret_answer)
{
    char folded[DNS_NAME_MAX + 2];
    check(!list_holds(&query->on_lookup));
    if (ip_parse(name, &ret_answer->at[0])) {
        ret_answer->count = 1;
        ret_answer->ttl_ms = UINT32_MAX;
        ret_answer->is_partial = false;
        return DNS_OK;
    }
    if (!name_fold(name, folded)) {
        return DNS_BAD_NAME;
    }
    dns->counts.lookups++;
    uint64_t hash = XXH3_64bits(folded, strlen(folded));
    struct entry *entry = map_find(&dns->entries, hash, same_name, folded);
    if (entry != NULL && entry->error != DNS_LATER && loop_now_ms(dns->loop) < entry->expires_ms) {
        dns->counts.hits++;
        list_move_back(entry->node.home, entry->node.home, &entry->node);
        return answer_of(entry, query, ret_answer);
    }
    if (entry != NULL && entry->error == DNS_LATER) {
        dns->counts.coalesced++;
        if (is_early(entry)) {
            return answer_of(entry, query, ret_answer);
        }
    } else {
        entry = entry != NULL ? entry : entry_new(dns, folded, hash);
        enum dns_error error = entry != NULL ? look_up(dns, entry) : DNS_FULL;
        if (error != DNS_LATER) {
            return error != DNS_OK ? error : answer_of(entry, query, ret_answer);
        }
    }
    list_push_back(&entry->waiters, &query->on_lookup);
    return DNS_LATER;
}

void dns_cancel(struct dns_query *query)
{
    list_leave(&query->on_lookup);
}

void dns_flush(struct dns *dns)
{
    while (dns->known.count > 0) {
        entry_free(dns, container_of(list_first(&dns->known), struct entry, node));
    }
}

void dns_counts(const struct dns *dns, struct dns_counts *ret)
{
    *ret = dns->counts;
    ret->entries = dns->entries.count;
    ret->looking_up = dns->looking.count;
}

const char *dns_error_text(enum dns_error error)
{
    static const char *const texts[] = {
        [DNS_OK] = "ok",
        [DNS_LATER] = "under way",
        [DNS_NOT_FOUND] = "name not found",
        [DNS_TIMEOUT] = "name server timed out",
        [DNS_FAILED] = "name server failed",
        [DNS_BAD_NAME] = "not a host name",
        [DNS_FULL] = "too many look-ups",
    };
    return texts[error];
}

/* --- looking up ---------------------------------------------------------------------------------
 */

static bool is_localhost(const char *name)
{
    struct slice text = slice_of(name);
    if (text.len > 0 && name[text.len - 1] == '.') {
        text.len--;
    }
    return slice_is(text, "localhost") || slice_ends(text, SLICE(".localhost"));
}

bool dns_look_here(struct dns *dns, const char *name, struct dns_answer *ret_answer)
{
    char *text = NULL;
    size_t len = 0;
    bool found = false;
    if (file_read(dns->hosts_path, HOSTS_BYTES_MAX, loop_alloc(dns->loop), &text, &len) == 0) {
        found = hosts_find(text, len, name, ret_answer);
        alloc_free(loop_alloc(dns->loop), text);
    }
    if (!found && is_localhost(name)) {
        ip_parse("127.0.0.1", &ret_answer->at[0]);
        ip_parse("::1", &ret_answer->at[1]);
        ret_answer->count = 2;
        found = true;
    }
    return found;
}

struct dns_ares dns_ares_of(struct dns *dns)
{
    return (struct dns_ares){dns->loop, dns->channel};
}

void dns_rearm(struct dns *dns)
{
    struct timeval wait;
    if (ares_timeout(dns->channel, NULL, &wait) == NULL) {
        loop_timer_stop(dns->loop, &dns->timer);
        return;
    }
    uint64_t wait_ms = (uint64_t)wait.tv_sec * 1000U + (uint64_t)wait.tv_usec / 1000U + 1U;
    loop_timer_set(dns->loop, &dns->timer, loop_now_ms(dns->loop) + wait_ms);
}

/* DNS_LATER, or what is known at once. */
static enum dns_error look_up(struct dns *dns, struct entry *entry)
{
    static const int families[] = {AF_INET, AF_INET6};
    entry->early_ms = 0;
    entry->answer = (struct dns_answer){0};
    if (dns_look_here(dns, entry->name, &entry->answer)) {
        entry->error = DNS_OK;
        entry->expires_ms = loop_now_ms(dns->loop) + HOSTS_TTL_MS;
        return DNS_OK;
    }
    if (dns->looking.count >= dns->opt.lookups_max) {
        entry_free(dns, entry);
        return DNS_FULL;
    }
    entry->error = DNS_LATER;
    list_move_back(entry->node.home, &dns->looking, &entry->node);
    for (int i = 0; i < 2; i++) {
        entry->halves[i] = (struct half){.entry = entry, .error = DNS_LATER};
    }
    for (int i = 0; i < 2; i++) {
        struct ares_addrinfo_hints hints = {.ai_family = families[i], .ai_socktype = SOCK_STREAM};
        ares_getaddrinfo(dns->channel, entry->name, NULL, &hints, on_answer, &entry->halves[i]);
    }
    dns_rearm(dns);
    return entry->error;
}

enum dns_error dns_error_of(int status)
{
    switch (status) {
    case ARES_SUCCESS: return DNS_OK;
    case ARES_ENOTFOUND:
    case ARES_ENODATA:
    case ARES_ENONAME: return DNS_NOT_FOUND;
    case ARES_ETIMEOUT: return DNS_TIMEOUT;
    case ARES_EBADNAME: return DNS_BAD_NAME;
    default: return DNS_FAILED;
    }
}

/* Copies what fits; ttl_ms is the least of it. */
static void take_addresses(const struct ares_addrinfo *result, struct half *half)
{
    uint64_t ttl_s = UINT32_MAX;
    for (const struct ares_addrinfo_node *node = result->nodes; node != NULL;
         node = node->ai_next) {
        struct address address = {.len = (socklen_t)node->ai_addrlen};
        if (address.len > sizeof address.v6) {
            continue;
        }
        if (half->count == DNS_ADDRESSES_MAX) {
            half->is_cut = true;
            break;
        }
        memcpy(&address.any, node->ai_addr, address.len);
        if (address_ip(&address, &half->at[half->count])) {
            half->count++;
            ttl_s = node->ai_ttl >= 0 && (uint64_t)node->ai_ttl < ttl_s ? (uint64_t)node->ai_ttl
                                                                        : ttl_s;
        }
    }
    half->ttl_ms = ttl_s > UINT32_MAX / 1000U ? UINT32_MAX : (uint32_t)ttl_s * 1000U;
}

static bool is_all_of(const struct half *half)
{
    return !half->is_cut && (half->error == DNS_OK || half->error == DNS_NOT_FOUND);
}

/* The preferred family first. Where both together are too many, each has its part: of neither may
 * the other be the only way there. */
static void merge(struct entry *entry)
{
    struct half *v4 = &entry->halves[0], *v6 = &entry->halves[1];
    bool v6_first = v6->count > 0 && (v4->count == 0 || prefer_v6(&v6->at[0]));
    const struct half *order[2] = {v6_first ? v6 : v4, v6_first ? v4 : v6};
    uint32_t second = order[1]->count < DNS_ADDRESSES_MAX / 2 ? order[1]->count
                                                              : DNS_ADDRESSES_MAX / 2;
    uint32_t first = order[0]->count < DNS_ADDRESSES_MAX - second ? order[0]->count
                                                                  : DNS_ADDRESSES_MAX - second;
    second = order[1]->count < DNS_ADDRESSES_MAX - first ? order[1]->count
                                                         : DNS_ADDRESSES_MAX - first;
    memcpy(entry->answer.at, order[0]->at, first * sizeof(struct ip));
    memcpy(entry->answer.at + first, order[1]->at, second * sizeof(struct ip));
    entry->answer.count = first + second;
    entry->answer.is_partial = !is_all_of(v4) || !is_all_of(v6)
                               || entry->answer.count < v4->count + v6->count;
}

/* Of two failures the one that is most certain; what one family has is an answer whatever became of
 * the other. */
static enum dns_error error_of_halves(const struct entry *entry)
{
    enum dns_error a = entry->halves[0].error, b = entry->halves[1].error;
    if (entry->answer.count > 0) {
        return DNS_OK;
    }
    if (a == DNS_NOT_FOUND && b == DNS_NOT_FOUND) {
        return DNS_NOT_FOUND;
    }
    return a != DNS_NOT_FOUND ? a : b;
}

static uint32_t ttl_of(const struct entry *entry)
{
    const struct dns_options *opt = &entry->dns->opt;
    uint32_t ttl_ms = UINT32_MAX;
    if (entry->error != DNS_OK) {
        return opt->negative_ttl_ms;
    }
    for (int i = 0; i < 2; i++) {
        const struct half *half = &entry->halves[i];
        ttl_ms = half->count > 0 && half->ttl_ms < ttl_ms ? half->ttl_ms : ttl_ms;
    }
    ttl_ms = ttl_ms < opt->ttl_min_ms ? opt->ttl_min_ms : ttl_ms;
    return ttl_ms > opt->ttl_max_ms ? opt->ttl_max_ms : ttl_ms;
}

/* Those who wait are told in this turn. */
static void answered(struct entry *entry, struct list *otherwise)
{
    struct dns *dns = entry->dns;
    bool is_waited_for = entry->waiters.count > 0;
    list_move_back(entry->node.home, is_waited_for ? &dns->answered : otherwise, &entry->node);
    if (is_waited_for) {
        loop_later(dns->loop, &dns->tell);
    }
}

static void half_known(struct entry *entry)
{
    struct dns *dns = entry->dns;
    merge(entry);
    if (entry->answer.count > 0 && entry->early_ms == 0) {
        entry->early_ms = loop_now_ms(dns->loop) + DNS_DELAY_MS;
        if (!loop_timer_is_set(&dns->delay)) {
            loop_timer_set(dns->loop, &dns->delay, entry->early_ms);
        }
    }
}

static void take_name(const struct ares_addrinfo *result, struct half *half)
{
    char folded[DNS_NAME_MAX + 2];
    if (result->name != NULL && name_fold(result->name, folded)) {
        half->is_as_asked = strcmp(folded, half->entry->name) == 0;
        half->name_hash = XXH3_64bits(folded, strlen(folded));
    }
}

/* Each half searched the domains for itself, and may have found the name of another host there. */
static void drop_stranger(struct entry *entry)
{
    struct half *v4 = &entry->halves[0], *v6 = &entry->halves[1];
    if (v4->count > 0 && v6->count > 0 && v4->name_hash != v6->name_hash) {
        struct half *stranger = v6->is_as_asked && !v4->is_as_asked ? v4 : v6;
        stranger->count = 0;
        stranger->error = DNS_NOT_FOUND;
    }
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *result)
{
    struct half *half = arg;
    struct entry *entry = half->entry;
    struct dns *dns = entry->dns;
    (void)timeouts;
    half->error = dns_error_of(status);
    if (half->error == DNS_OK) {
        take_name(result, half);
        take_addresses(result, half);
        half->error = half->count > 0 ? DNS_OK : DNS_NOT_FOUND;
    }
    ares_freeaddrinfo(result);
    if (entry->halves[0].error == DNS_LATER || entry->halves[1].error == DNS_LATER) {
        half_known(entry);
        return;
    }
    drop_stranger(entry);
    merge(entry);
    entry->early_ms = 0;
    entry->error = error_of_halves(entry);
    dns->counts.failed += entry->error != DNS_OK;
    entry->expires_ms = loop_now_ms(dns->loop) + ttl_of(entry);
    answered(entry, &dns->known);
}

/* One family has kept those who wait for the other long enough. */
static void on_delay(struct loop_timer *timer, uint64_t now_ms)
{
    struct dns *dns = container_of(timer, struct dns, delay);
    uint64_t next_ms = UINT64_MAX;
    weir_list_each_safe(node, &dns->looking) {
        struct entry *entry = container_of(node, struct entry, node);
        if (entry->early_ms == 0 || entry->waiters.count == 0) {
            continue;
        }
        if (entry->early_ms <= now_ms) {
            answered(entry, &dns->looking);
        } else {
            next_ms = entry->early_ms < next_ms ? entry->early_ms : next_ms;
        }
    }
    if (next_ms != UINT64_MAX) {
        loop_timer_set(dns->loop, &dns->delay, next_ms);
    }
}

/* Whoever is told may ask for the same name again, cancel another, or start look-ups. */
static void tell_waiters(struct loop_later *later)
{
    struct dns *dns = container_of(later, struct dns, tell);
    while (dns->answered.count > 0) {
        struct entry *entry = container_of(list_first(&dns->answered), struct entry, node);
        struct node *node = list_pop_front(&entry->waiters);
        if (node == NULL) {
            bool is_looking = entry->error == DNS_LATER;
            list_move_back(&dns->answered, is_looking ? &dns->looking : &dns->known, &entry->node);
            continue;
        }
        struct dns_query *query = container_of(node, struct dns_query, on_lookup);
        struct dns_answer answer;
        enum dns_error error = answer_of(entry, query, &answer);
        query->done(query, error, error == DNS_OK ? &answer : NULL);
    }
}

/* --- c-ares's descriptors and time
 * ---------------------------------------------------------------- */

static void on_timer(struct loop_timer *timer, uint64_t now_ms)
{
    struct dns *dns = container_of(timer, struct dns, timer);
    (void)now_ms;
    ares_process_fd(dns->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    dns_rearm(dns);
}

static void on_ready(struct watch *watch, unsigned events)
{
    struct conduit *conduit = container_of(watch, struct conduit, watch);
    struct dns *dns = conduit->dns;
    int fd = watch->fd;
    ares_process_fd(dns->channel, events & STREAM_READ ? fd : ARES_SOCKET_BAD,
                    events & STREAM_WRITE ? fd : ARES_SOCKET_BAD);
    dns_rearm(dns);
}

static struct conduit *conduit_of(struct dns *dns, int fd)
{
    weir_list_each(node, &dns->conduits) {
        struct conduit *conduit = container_of(node, struct conduit, node);
        if (conduit->watch.fd == fd) {
            return conduit;
        }
    }
    return NULL;
}

static void on_conduit_gone(struct watch *watch)
{
    alloc_free(loop_alloc(watch->loop), container_of(watch, struct conduit, watch));
}

/* Where a conduit cannot be had, nothing is heard from it, and c-ares's time-out ends the matter.
 */
static void on_socket_state(void *self, ares_socket_t fd, int readable, int writable)
{
    struct dns *dns = self;
    struct conduit *conduit = conduit_of(dns, fd);
    if (!readable && !writable) {
        if (conduit != NULL) {
            list_remove(&dns->conduits, &conduit->node);
            watch_close(&conduit->watch, on_conduit_gone);
        }
        return;
    }
    if (conduit == NULL) {
        conduit = alloc_zeroed(loop_alloc(dns->loop), sizeof *conduit);
        if (conduit == NULL) {
            return;
        }
        watch_init(&conduit->watch, dns->loop, fd, on_ready);
        conduit->dns = dns;
        list_push_back(&dns->conduits, &conduit->node);
    }
    watch_want(&conduit->watch, (readable ? STREAM_READ : 0) | (writable ? STREAM_WRITE : 0));
}

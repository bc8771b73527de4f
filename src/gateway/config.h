/* SPDX-License-Identifier: Apache-2.0
 *
 * config.h - a configuration that was read, checked and will never change.
 *
 * config_read() turns a file into one `struct config`, or into a list of faults; there is nothing
 * in between. Everything it points to belongs to it and lives as long as it does, so whoever serves
 * by a snapshot keeps plain pointers into it. Every field is filled in: a default is a value like
 * any other, and no reader of this header has to know one.
 *
 * Times are milliseconds, sizes bytes. CONFIG_NEVER is a time that does not come, CONFIG_UNLIMITED
 * a bound that is none. A field is here if and only if something in this program obeys it;
 * option.def lists the same names with their ranges, defaults and meaning.
 */
#pragma once
#include <weir/weir.h>

#include "base/log.h"
#include "core/outlier.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_NEVER     WEIR_NEVER
#define CONFIG_LABEL_MAX 64U /* of a name of an account */
#define CONFIG_UNLIMITED WEIR_UNLIMITED

/* Where to listen: a literal address and port, a unix socket's path (then host is ""), or neither:
 * off. */
struct config_address {
    const char *text; /* as it was written, for messages and labels */
    const char *host; /* "127.0.0.1", "::1" */
    uint16_t port;
    const char *unix_path; /* "" unless it was "unix:/path" */
};

/* A range of client addresses: "10.0.0.0/8", "::1". IPv4 is kept as IPv4-mapped IPv6. */
struct config_cidr {
    uint8_t address[16];
    uint8_t bits; /* 0 … 128 */
};

struct config_field {
    const char *name, *value;
};

struct config_texts {
    const char **at;
    uint32_t count;
};

struct config_fields {
    struct config_field *at;
    uint32_t count;
};

enum config_forwarded { FORWARDED_REPLACE, FORWARDED_APPEND, FORWARDED_OFF };
enum config_isolate { ISOLATE_ACCOUNT, ISOLATE_SESSION };

/* Paths of PEM files; relative ones were made relative to the file that named them. */
struct config_certificate {
    const char *certificate, *key;
};

enum config_tls_version { CONFIG_TLS_1_2, CONFIG_TLS_1_3 };

struct config_route {
    struct {
        const char *host;            /* lower case; "*", "name" or "*.name" */
        const char *path;            /* prefix at a segment boundary; begins with "/" */
        struct config_texts method;  /* empty: every method */
        struct config_fields header; /* all must be there; value "*": any value */
    } match;
    uint32_t upstream;         /* index into config.upstreams */
    const char *upstream_name; /* its name */
    struct {
        uint64_t body;                  /* 0: no limit */
        uint64_t hold;                  /* of a body that is kept before an account is chosen */
        uint32_t concurrent_per_client; /* 0: no limit; a client is an address */
    } limits;
    struct {
        bool is_on;                  /* the group was written */
        struct config_texts sources; /* as gateway/affinity.h has them */
        uint32_t ttl_ms;
    } affinity;
    enum config_isolate isolate;
    enum config_forwarded forwarded;
    uint32_t sse_heartbeat_ms; /* 0: none */
    struct {
        struct config_fields set;
        struct config_texts remove;
    } request_headers;
};

enum config_header { HEADER_OFF, HEADER_ACCEPT, HEADER_REQUIRE }; /* PROXY, of clients */
enum config_listener_protocol { LISTENER_HTTP1, LISTENER_H2 };

struct config_listener {
    const char *name;
    struct config_address address;
    uint32_t protocols; /* a bit for each enum config_listener_protocol; at least one */
    struct {
        struct config_cidr *at;
        uint32_t count;
    } trusted_proxies;
    enum config_header proxy_protocol;
    struct {
        uint32_t max_connections; /* over all workers */
        uint32_t max_per_ip;      /* 0: no limit */
        uint32_t headers_timeout_ms;
        uint32_t request_timeout_ms;
        uint32_t idle_timeout_ms;
        uint32_t
            answer_timeout_ms; /* the same until an answer begins; never, where it is not written */
        uint32_t keepalive_timeout_ms;
        uint32_t tls_timeout_ms;
        uint32_t write_timeout_ms;
        uint64_t min_rate; /* bytes per second of a body that extend request_timeout; 0: none do */
        uint32_t drain_timeout_ms;
    } pool;
    struct {
        bool is_on; /* the group was written */
        struct config_certificate pair;
        struct {
            struct config_certificate *at; /* for other names */
            uint32_t count;
        } certificates;
        const char *client_ca; /* "": clients show no certificate */
        enum config_tls_version min_version;
    } tls;
    struct {
        uint32_t max_header_bytes;
        uint32_t max_headers;
    } http1;
    struct {
        uint32_t max_receive_message, max_send_message; /* 0: no limit */
        uint32_t keepalive_time_ms, max_connection_age_ms, max_connection_age_grace_ms;
        uint32_t health; /* WEIR_ON: we answer grpc.health.v1.Health */
    } grpc;
    struct {
        uint32_t max_concurrent_streams;
        uint32_t max_header_list_size;
        uint32_t max_session_memory;
        uint32_t ping_interval_ms;
    } http2;
    struct {
        uint32_t ping_interval_ms, pong_timeout_ms;
        uint64_t max_message; /* 0: no limit */
    } websocket;
    struct {
        struct config_route *at; /* in the order in which they are tried */
        uint32_t count;
    } routes;
};

struct config_endpoint {
    const char *url;  /* as written */
    const char *name; /* host:port, the label of metrics and logs */
    const char *scheme, *host;
    uint16_t port;
    uint32_t weight;   /* 0: takes no new requests */
    uint32_t priority; /* 0 is the highest tier */
    const char *zone;  /* "": none */
};

struct config_endpoints {
    struct config_endpoint *at;
    uint32_t count;
};

/* Who we are to the endpoints. */
#define CONFIG_ACCOUNTS_MAX        64U
#define CONFIG_ACCOUNT_HEADERS_MAX 16U
struct config_account {
    const char *name;
    struct config_fields headers; /* its credentials */
    const char *proxy;            /* URL; "": the upstream's */
    struct {
        const char *token, *password, *identity; /* "": the upstream's */
    } openclaw;                                  /* with PROTOCOL_OPENCLAW */
    uint32_t max_connections;                    /* to one endpoint */
    uint32_t concurrent;                         /* requests at a time; 0: no limit */
    struct config_texts models;                  /* with * for any text; empty: all */
    uint32_t priority;                           /* the lowest is asked first */
    uint32_t weight;                             /* 0: takes no new requests */
};

enum config_protocol {
    PROTOCOL_AUTO,
    PROTOCOL_HTTP1,
    PROTOCOL_H2,
    PROTOCOL_GRPC,
    PROTOCOL_WEBSOCKET,
    PROTOCOL_OPENCLAW
};
enum config_balance {
    BALANCE_P2C,
    BALANCE_LEAST_REQUEST,
    BALANCE_ROUND_ROBIN,
    BALANCE_HASH,
    BALANCE_PRIORITY
};
/* How the hosts of endpoints are looked up: not, by their addresses, by their SRV records. */
enum config_discover { DISCOVER_OFF, DISCOVER_ADDRESS, DISCOVER_SRV };
enum config_scheme { SCHEME_HTTP, SCHEME_HTTPS };
enum config_warm { WARM_OFF, WARM_ON, WARM_REQUIRED };
enum config_grade { GRADE_DNS, GRADE_TCP, GRADE_TLS, GRADE_UP, GRADE_PROBE };
struct config_retry {
    bool on_connect, on_stale;
    uint16_t codes[16]; /* answers that are tried again elsewhere */
    uint32_t codes_count;
    double budget; /* retries as a part of requests */
};

struct config_upstream {
    const char *name; /* also the pool's */
    enum config_protocol protocol;
    const char *profile; /* "": none was named */
    enum config_balance balance;
    /* Every number is filled in; a zero of the user's is WEIR_NONE. The name is the upstream's, the
     * connector is left for whoever opens the pool. In the file max_total is called
     * max_connections and max_per_key max_per_endpoint. */
    weir_pool_options pool;
    struct config_endpoints listed; /* as written; at least one, but where others are found */
    /* Those that requests go to: the listed ones, or (is_found) what was found (config_found.h). */
    struct config_endpoints endpoints;
    bool is_found;
    struct {
        enum config_discover dns;
        const char *file, *http;   /* a path, a URL; "": none */
        enum config_scheme scheme; /* of what file or http have */
        uint32_t interval_ms, timeout_ms, max;
        struct config_fields headers; /* for http */
        const char *ca;               /* "": the system's */
    } discover;
    struct {
        struct config_account *at;
        uint32_t count; /* 0: requests go as their clients sent them */
    } accounts;
    struct {
        const char *path; /* "": no active checks */
        uint32_t interval_ms, timeout_ms, failures, recovery_ms;
    } health;
    struct {
        const char *token, *password; /* "": none */
        const char *identity;         /* a file; "": none */
        const char *path;
        uint32_t requests_max, request_timeout_ms;
        uint64_t message_max;
    } openclaw; /* with PROTOCOL_OPENCLAW */
    struct outlier_options outlier;
    struct config_retry retry;
    enum config_warm warm;
    enum config_grade warm_grade;
    uint32_t warm_timeout_ms;
    const char *proxy; /* URL of what connections go through, as in weir_key; "": none */
    struct {
        uint32_t max_connections, connecting_max; /* over all upstreams of this proxy */
    } proxy_limits;
    unsigned proxy_protocol; /* version of the PROXY header for endpoints; 0: none */
    struct {
        const char *sni; /* "": the proxy's host */
        const char *ca;  /* "": the system's */
    } proxy_tls;         /* for a proxy of https:// */
    struct {
        const char *sni;                /* "": the endpoint's host */
        uint32_t verify;                /* WEIR_ON, WEIR_OFF */
        const char *ca;                 /* "": the system's */
        struct config_certificate pair; /* ours; "": none */
    } tls;                              /* for endpoints of https:// */
};

/* Who may use the data plane. */
#define CONFIG_CLIENTS_MAX 1024U
#define CONFIG_DIGEST_LEN  32U
struct config_digest {
    uint8_t at[CONFIG_DIGEST_LEN]; /* SHA-256 */
};

struct config_rate {
    uint32_t count; /* requests; 0: no limit */
    uint32_t per_s; /* in so many seconds */
};

/* Who is served first of those that wait. */
enum config_priority { PRIORITY_LOW, PRIORITY_NORMAL, PRIORITY_HIGH, PRIORITIES };

struct config_client {
    const char *name;
    struct config_digest sha256; /* of its key */
    uint32_t concurrent;         /* requests at a time; 0: no limit */
    struct config_rate rate;
    enum config_priority priority;
};

enum config_log_format { LOG_FORMAT_JSON, LOG_FORMAT_TEXT };

/* What is kept of conversations, and where: gateway/affinity.h. There is a Redis if there is a URL,
 * and a journal if there is a path. */
enum config_store { STORE_AUTO, STORE_MEMORY, STORE_HYBRID, STORE_REDIS };
struct config_sessions {
    enum config_store store;
    uint32_t max;
    uint32_t ttl_ms, ttl_max_ms, affinity_ttl_ms;
    uint32_t cache, cache_ttl_ms, batch; /* with a Redis */
    struct {
        const char *url;       /* "": there is none */
        const char *sentinels; /* the same; else url's host is what they call the master */
        uint32_t cluster;      /* WEIR_ON: url has some nodes of one */
        const char *ca;        /* "": the system's */
        const char *prefix;
        uint32_t wait; /* for so many replicas */
        uint32_t timeout_ms;
    } redis;
    const char *path;  /* "": there is no journal */
    uint32_t fsync_ms; /* 0: always */
    const char *secret;
};

/* A file that was opened for a configuration: its own, an included one, one of ${file:…}. */
struct config_source {
    const char *path;
    struct config_source *next;
};

enum config_sandbox { SANDBOX_AUTO, SANDBOX_ON, SANDBOX_OFF };

struct config {
    uint32_t workers; /* 0: one per processor */
    struct {
        const char *name; /* "" : the host's name */
        const char *zone; /* "": none */
    } node;
    struct {
        const char *user; /* to become, started as root; "": as whom it was started */
        enum config_sandbox sandbox;
        uint32_t drain_delay_ms; /* between being told to end and the end of accepting */
    } process;
    struct {
        struct config_address address;
        const char *token;        /* "": none */
        const char *viewer_token; /* with it one may look, and change nothing; "": none */
    } admin;
    struct {
        struct config_texts servers; /* "address" or "address:port"; none: the system's */
        uint32_t ttl_max_ms;
    } dns;
    struct {
        enum log_level level;
        enum config_log_format format;
        const char *access; /* "stdout", "stderr", "off" or a path */
        struct {
            const char *url;              /* "": nobody is told of spans */
            struct config_fields headers; /* credentials */
            double sample;                /* of traces that begin here, 0 … 1 */
            uint32_t timeout_ms;
            uint32_t queue; /* requests waiting on each worker */
        } otlp;
    } log;
    struct {
        struct config_listener *at; /* at least one */
        uint32_t count;
    } listeners;
    struct {
        struct config_upstream *at;
        uint32_t count;
    } upstreams;
    struct config_sessions sessions;
    struct {
        struct config_client *at;
        uint32_t count; /* 0: everybody may */
    } clients;
    struct {
        struct config_texts include, exclude; /* families, with * for any text */
        uint32_t max_series;
    } metrics;
    struct {
        double error_rate, session_survival, cache_hit, pool_utilization;
        uint64_t memory; /* 0: never */
        uint32_t for_ms, window_ms, horizon_ms;
        uint32_t early_warning; /* WEIR_ON */
        struct {
            const char *url; /* "": none */
            uint32_t timeout_ms;
        } webhook;
    } alerts;

    struct {
        uint32_t descriptors; /* 0: as many as the system allows */
        uint64_t memory;      /* 0: the same */
    } overload;

    const struct config *root;     /* that it is a copy of, with what was found; NULL: of none */
    struct config_source *sources; /* the files that it was read from */
    struct config_arena *arena;    /* what all of the above lives in */
};

/* One thing wrong with a file, or worth knowing about it. */
struct config_fault {
    bool advice; /* true: the file is valid all the same */
    const char *file;
    uint32_t line, column; /* from 1 */
    const char *text;      /* one line, with the suggestion if there is one */
};

struct config_faults {
    struct config_fault *at;
    uint32_t count;
    uint32_t errors; /* how many are not advice */
    struct config_arena *arena;
    struct config_fault last_resort; /* for want of memory: `at` points here, so it does not move */
};

/* Reads `path` and everything it includes. Returns the snapshot, or NULL when there was an error;
 * `ret` receives every error and every advice in the order of their positions, either way, and is
 * to be freed by config_faults_free(). Want of memory is an error like any other. Blocking: for
 * start and reload, not for a loop. */
struct config *config_read(const char *path, struct config_faults *ret);

/* The same from memory; `name` is what messages call it and what relative includes are relative to.
 */
struct config *config_read_text(const char *name, const char *text, size_t len,
                                struct config_faults *ret);
/* The same with memory from elsewhere. */
struct config_memory;
struct config *config_read_text_by(const struct config_memory *memory, const char *name,
                                   const char *text, size_t len, struct config_faults *ret);
void config_free(struct config *take_config);
void config_faults_free(struct config_faults *faults);

/* SPDX-License-Identifier: Apache-2.0
 *
 * command.c - the table of commands, and the options that each of them takes.
 */
#include "cli/command.h"

#include "base/check.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

const struct command commands[] = {
    {"serve", "-c FILE", "run the gateway in the foreground",
     "Reads FILE, binds every listener, and serves until it is told to stop.\n"
     "\n"
     "  SIGTERM  drain: no new clients, open requests may end; a second one stops at once\n"
     "  SIGINT   the same, for at most 3 seconds\n"
     "  SIGHUP   read the configuration again: `weir reload --help`\n"
     "  SIGUSR1  reopen the log files\n"
     "  SIGUSR2  a new process of the program takes over: `weir upgrade --help`\n"
     "\n"
     "A service manager is notified (NOTIFY_SOCKET: ready, stopping, the main process, a watchdog),\n"
     "and listening sockets that it gives are used where a listener has their address (LISTEN_FDS).\n"
     "\n"
     "Exit status: 0 stopped as told, 1 it could not start, 2 not understood.\n",
     command_serve},
    {"demo", "[--port N] [--tls-port N] [--admin-port N] [--visitors N]",
     "a gateway and demo upstreams, without a configuration",
     "Starts a gateway on 127.0.0.1:8080, its admin interface on 127.0.0.1:9901 and, inside the\n"
     "same program, upstreams that answer plainly, slowly, with an event stream, and with what\n"
     "they were sent. Prints what to try. Ctrl-C ends it.\n"
     "\n"
     "  --port N        the gateway's port; 0: any that is free\n"
     "  --tls-port N    the same for HTTPS [8443]\n"
     "  --admin-port N  the admin interface's port; 0: any that is free\n"
     "  --visitors N    requests a second that it sends itself, so that there is something to see,\n"
     "                  up to 1000 [20]; 0: none\n",
     command_demo},
    {"check", "-c FILE [--format text|json] [--probe]", "validate a configuration, and advise",
     "Reads FILE as `weir serve` would and says everything that is wrong with it, as\n"
     "file:line:column: message, and what is valid but probably not meant.\n"
     "\n"
     "  --format json  one JSON object\n"
     "  --probe        also connects once to every endpoint, on each account's way\n"
     "\n"
     "Exit status: 0 valid (there may be advice), 1 errors, 2 not understood.\n",
     command_check},
    {"config", "dump|schema|options|reference|openapi [-c FILE]",
     "what is configured, and what can be",
     "  dump -c FILE   every option with the value in force; secrets as ***; --format json\n"
     "  schema         a JSON Schema of the configuration, for editors\n"
     "  options        the name of every option, one per line\n"
     "  reference      every option with default, range and meaning, as Markdown\n"
     "  openapi        the admin interface, as an OpenAPI document\n",
     command_config},
    {"show",
     "pools|endpoints|accounts|keys|connections|listeners|clients|sessions|certificates|events|"
     "alerts|capacity|generations|discovery|process [-o table|json] [NAME=VALUE ...]",
     "what a gateway that runs is doing",
     "A table has a line for each row. At a terminal whose lines are too short for that, a row, and\n"
     "the heading, goes on in further lines, indented.\n"
     "\n"
     "  -o json       all that is known, as the admin interface says it\n"
     "  --admin ADDR  where that is, else WEIR_ADMIN, else what -c FILE says, else 127.0.0.1:9901\n"
     "  NAME=VALUE    of sessions only those whose id begins so, or with that user, upstream,\n"
     "                account, key (the name of a client), status; limit=N [100]; scope=fleet:\n"
     "                of all gateways that share the Redis\n"
     "\n"
     "WEIR_ADMIN_TOKEN is shown to an admin interface that asks for one.\n"
     "\n"
     "Exit status: 0 shown, 1 it cannot be asked, 2 not understood.\n",
     command_show},
    {"events", "[-f] [-o lines|json] [NAME=PATTERN ...]", "what has happened, and what happens",
     "Prints the last events of the gateway, oldest first, a line each: when, what, and what is\n"
     "known of it.\n"
     "\n"
     "  -f, --follow  those that happen from now on, until it is stopped; when the gateway is away,\n"
     "                it is asked again, for what was missed, too\n"
     "  -o json       each as the admin interface says it, a line each\n"
     "  --admin ADDR  where that is, else WEIR_ADMIN, else what -c FILE says, else 127.0.0.1:9901\n"
     "  NAME=PATTERN  only those of which all of these are so: pool=up event='connection_*'\n"
     "\n"
     "WEIR_ADMIN_TOKEN is shown to an admin interface that asks for one.\n"
     "\n"
     "Exit status: 0 shown, 1 it cannot be asked, 2 not understood.\n",
     command_events},
    {"top", "[--every TIME]", "a gateway that runs, live",
     "How it fares as a whole, its pools, the endpoints of the selected one, and the last events,\n"
     "on a terminal of at least 40 columns. Rates and latencies are of the last five looks.\n"
     "\n"
     "  --every TIME  how often it looks [1s]\n"
     "  --admin ADDR  where that is, else WEIR_ADMIN, else what -c FILE says, else 127.0.0.1:9901\n"
     "\n"
     "  q             quit\n"
     "  s             sort by the next column\n"
     "  up, down      select a pool; also k, j, page up and page down\n"
     "  p, space      pause, and go on\n"
     "  +, -          look more, less often\n"
     "  h, ?          what keys do\n"
     "\n"
     "WEIR_ADMIN_TOKEN is shown to an admin interface that asks for one.\n"
     "\n"
     "Exit status: 0 left, 1 this is no terminal, 2 not understood.\n",
     command_top},
    {"explain", "KEY|SESSION|--path PATH [OPTION ...]", "why a connection is, or is not, reused",
     "KEY is one that `weir show keys` lists: what its pools last decided for it, and why. SESSION is\n"
     "how the id of a conversation begins (`weir show sessions`): where it is, how it came there, and\n"
     "how its upstream's accounts are. Without either, where a request would go now that is described\n"
     "so: its route, conversation, account and endpoint. Nothing is sent, and nothing changes.\n"
     "\n"
     "  --pool NAME      of that pool only, of a key\n"
     "  --path PATH      of the request [/]\n"
     "  --host NAME      of the request\n"
     "  --method WORD    of the request [GET]\n"
     "  --header TEXT    a field of the request, \"Name:value\"\n"
     "  --session TEXT   what its conversation is known by\n"
     "  --model NAME     that its body names\n"
     "  --client NAME    whose key it shows\n"
     "  --address ADDR   the client's\n"
     "  --listener NAME  [the first with a route for it]\n"
     "  --worker N       that is asked [0]\n"
     "  -o text|json     json: as the admin interface says it\n"
     "  --admin ADDR     where that is, else WEIR_ADMIN, else what -c FILE says, else 127.0.0.1:9901\n"
     "\n"
     "WEIR_ADMIN_TOKEN is shown to an admin interface that asks for one.\n"
     "\n"
     "Exit status: 0 shown, 1 it cannot be asked, 2 not understood.\n",
     command_explain},
    {"profile", "POOL [-o table|json] [--slowest N] [--svg FILE]",
     "where the time of an upstream's requests went",
     "How long its requests waited for a connection, were dialled for (TCP, then TLS), waited for the\n"
     "answer's first byte and for its last: the means, by endpoint and by account, since the gateway\n"
     "began; and the slowest requests of the last ten to twenty minutes.\n"
     "\n"
     "  -o json        all that is known, as the admin interface says it\n"
     "  --slowest N    how many of the slowest, up to 100 [20]\n"
     "  --svg FILE     as a picture\n"
     "  --admin ADDR   where that is, else WEIR_ADMIN, else what -c FILE says, else 127.0.0.1:9901\n"
     "\n"
     "WEIR_ADMIN_TOKEN is shown to an admin interface that asks for one.\n"
     "\n"
     "Exit status: 0 shown, 1 there is none, or it cannot be asked, 2 not understood.\n",
     command_profile},
    {"endpoint", "UPSTREAM/ENDPOINT ready|drain|maint [OPTION ...]",
     "whether an endpoint gets requests",
     "  ready  it does, as the configuration says\n"
     "  drain  no new ones; those that are open go on\n"
     "  maint  the same, but what is open after --grace is cut, and it is not checked\n"
     "\n"
     "  --reason TEXT  why; it is kept with the event\n"
     "  --grace TIME   of maint, for what is open [30s]\n"
     "  -o json        what was done, as the admin interface says it\n"
     "  --admin ADDR   where that is, else WEIR_ADMIN, else what -c FILE says, else 127.0.0.1:9901\n"
     "\n"
     "WEIR_ADMIN_TOKEN is shown to an admin interface that asks for one.\n"
     "\n"
     "Exit status: 0 done, 1 refused or it cannot be asked, 2 not understood.\n",
     command_endpoint},
    {"pool", "NAME pause|resume|reconnect|flush [OPTION ...]", "what a pool does",
     "  pause      new requests wait; those that are open go on\n"
     "  resume     the end of a pause\n"
     "  reconnect  every connection is replaced, those in use when they are released\n"
     "  flush      the same, but what is still in use after --grace is cut\n"
     "\n"
     "  --reason TEXT  why; it is kept with the event\n"
     "  --grace TIME   of flush, for what is open [30s]\n"
     "  -o json        what was done, as the admin interface says it\n"
     "  --admin ADDR   where that is, else WEIR_ADMIN, else what -c FILE says, else 127.0.0.1:9901\n"
     "\n"
     "WEIR_ADMIN_TOKEN is shown to an admin interface that asks for one.\n"
     "\n"
     "Exit status: 0 done, 1 refused or it cannot be asked, 2 not understood.\n",
     command_pool},
    {"account", "UPSTREAM/ACCOUNT clear [OPTION ...]", "forget what is held against an account",
     "Its cooldowns end now.\n"
     "\n"
     "  --reason TEXT  why; it is kept with the event\n"
     "  -o json        what was done, as the admin interface says it\n"
     "  --admin ADDR   where that is, else WEIR_ADMIN, else what -c FILE says, else 127.0.0.1:9901\n"
     "\n"
     "WEIR_ADMIN_TOKEN is shown to an admin interface that asks for one.\n"
     "\n"
     "Exit status: 0 done, 1 refused or it cannot be asked, 2 not understood.\n",
     command_account},
    {"drain", "[OPTION ...]", "no new clients, and then the end",
     "What is open may take as long as the configuration's drain_timeout says.\n"
     "\n"
     "  --reason TEXT  why; it is kept with the event\n"
     "  --grace TIME   what is open may take at most that long\n"
     "  --wait         until it has ended, and says how many clients are left\n"
     "  -o json        what was done, as the admin interface says it\n"
     "  --admin ADDR   where that is, else WEIR_ADMIN, else what -c FILE says, else 127.0.0.1:9901\n"
     "\n"
     "WEIR_ADMIN_TOKEN is shown to an admin interface that asks for one.\n"
     "\n"
     "Exit status: 0 done, 1 refused or it cannot be asked, 2 not understood.\n",
     command_drain},
    {"upgrade", "[OPTION ...]", "a new process of the program takes over, and nobody notices",
     "The running gateway starts the program anew, from the file and with the arguments that it was\n"
     "started with itself. Once that has read its configuration and opened everything it takes over\n"
     "all sockets; what the old process has open may take as long as drain_timeout says, and then it\n"
     "ends. If the new one fails, or takes too long, the old one serves on, and the reason is said.\n"
     "\n"
     "  --timeout TIME  until the new process must be ready [60s]\n"
     "  --reason TEXT   why; it is kept with the event\n"
     "  -o json         what was done, as the admin interface says it\n"
     "  --admin ADDR    where that is, else WEIR_ADMIN, else what -c FILE says, else 127.0.0.1:9901\n"
     "\n"
     "WEIR_ADMIN_TOKEN is shown to an admin interface that asks for one.\n"
     "\n"
     "Exit status: 0 done, 1 it failed or it cannot be asked, 2 not understood.\n",
     command_upgrade},
    {"reload", "[OPTION ...]", "read the configuration again, and put it in force",
     "The gateway reads the file that it was started with. All of it is put in force, or none:\n"
     "what is not valid, or needs a restart, is refused, and it serves on as before. Connections\n"
     "stay, and requests under way end by the configuration that they began with. SIGHUP does the\n"
     "same. Prints what changed: + added, - removed, ~ changed.\n"
     "\n"
     "  --reason TEXT  why; it is kept with the event\n"
     "  -o json        what was done, as the admin interface says it\n"
     "  --admin ADDR   where that is, else WEIR_ADMIN, else what -c FILE says, else 127.0.0.1:9901\n"
     "\n"
     "WEIR_ADMIN_TOKEN is shown to an admin interface that asks for one.\n"
     "\n"
     "Exit status: 0 it is in force, 1 refused or it cannot be asked, 2 not understood.\n",
     command_reload},
    {"healthcheck", "[--admin ADDR]", "whether a gateway is ready, for scripts and containers",
     "Asks its /readyz, for 5 seconds at most.\n"
     "\n"
     "  --admin ADDR  where that is, else WEIR_ADMIN, else what -c FILE says, else 127.0.0.1:9901\n"
     "\n"
     "Exit status: 0 ready, 1 it is not, or cannot be asked, 2 not understood.\n",
     command_healthcheck},
    {"bench", "URL [--vs URL] [OPTION ...]", "put a server under load, and time its answers",
     "URL is http://, https://, ws:// or wss://. Without --rate, so many callers each ask again when\n"
     "they were answered (closed loop). With it, requests are due at that rate whatever the answers\n"
     "do, and a latency counts from when its request was due (open loop): what waits behind a stall\n"
     "is seen, as users would feel it. Of a WebSocket, a message is a request, and what comes back\n"
     "its answer.\n"
     "\n"
     "  --vs URL         another target: both take turns, and are compared round by round\n"
     "  --rate N         open loop, N requests a second\n"
     "  --connections N  connections at most, and of a closed loop its callers [16]\n"
     "  --for TIME       how long a round counts [10s]\n"
     "  --warm TIME      what comes before, and does not count [1s]\n"
     "  --rounds N       [1; with --vs 5]\n"
     "  --timeout TIME   an answer takes longer: an error [30s]\n"
     "  --http2          HTTP/2, by ALPN or prior knowledge; of a WebSocket, its streams\n"
     "  --method WORD    [GET; with --body POST]\n"
     "  --body TEXT      the body of each request; @FILE: what the file has\n"
     "  -H, --header TEXT  a field of each request, \"Name: value\"; up to 16\n"
     "  --message SIZE   bytes of a WebSocket's message [100]\n"
     "  --insecure       takes whatever certificate it is shown\n"
     "  --svg FILE       latency by quantile, as a picture\n"
     "  --json           one JSON object instead of the text\n"
     "\n"
     "Exit status: 0 done, 1 there was no answer, 2 not understood.\n",
     command_bench},
    {"simulate", "TRACE|--rate N [OPTION ...]", "play arrivals through the pool, and advise sizes",
     "Runs the real pool core on a virtual clock under the arrivals that TRACE recorded, and says\n"
     "how long callers waited and how many connections it took; then finds the smallest pool that\n"
     "serves them well. TRACE is lines of \"second,arrivals[,hold_ms]\", an interval each (`#` begins\n"
     "a comment; a first line may name the columns, errors, latency_ms and leaked among them).\n"
     "\n"
     "  --rate N[-M]      no file: N arrivals a second, or from N to M in a straight line\n"
     "  --for TIME        how long that lasts [10m]\n"
     "  --from, --to TIME a part of the trace, from its beginning: --from 3d --to 3d1h\n"
     "  --hold TIME       how long a caller keeps its connection, on average [recorded, or 100ms]\n"
     "  --service WORD    spread of that: exponential [default], fixed, lognormal\n"
     "  --dial TIME       how long a dial takes, on average [5ms]\n"
     "  --keys N          endpoints that callers go to alike [1]\n"
     "  --profile NAME    options of the pool to begin with [relay]\n"
     "  --max N           max_per_key\n"
     "  --min N           size_min, the least an adaptive pool keeps; 0: not adaptive\n"
     "  --set WORD=VALUE  any options of the pool: --set idle_timeout=5s,max_uses=100\n"
     "  --target TIME     99 of 100 callers shall not wait for longer [10ms]\n"
     "  --no-advice       only the run itself\n"
     "  --seed N          chance follows from it [1]\n"
     "  --svg FILE        connections and queue over time, as a picture\n"
     "  --json            one JSON object instead of the text\n"
     "\n"
     "Exit status: 0 done, 1 the trace cannot be read, 2 not understood.\n",
     command_simulate},
    {"version", "[-v]", "which weir this is",
     "  -v  also the libraries it was built with and runs with\n", command_version},
    {"completion", "bash|zsh|fish", "what a shell offers while a command is typed",
     "Prints it for that shell, from what --help says:\n"
     "\n"
     "  . <(weir completion bash)\n"
     "  weir completion zsh >\"${fpath[1]}/_weir\"\n"
     "  weir completion fish >~/.config/fish/completions/weir.fish\n",
     command_completion},
    {"help", "[COMMAND]", "this text, or a command's", "", command_help},
    {NULL, NULL, NULL, NULL, NULL},
};

const struct command *command_find(const char *name)
{
    for (const struct command *c = commands; c->name != NULL; c++)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

void command_print_help(const struct command *command)
{
    printf("weir %s %s - %s\n\n%s", command->name, command->usage, command->brief, command->help);
}

int command_help(int count, char **words)
{
    if (count > 0) {
        const struct command *command = command_find(words[0]);
        if (command == NULL) {
            fprintf(stderr, "weir help: there is no command %s\n", words[0]);
            return EXIT_USAGE;
        }
        command_print_help(command);
        return 0;
    }
    printf("weir %s - a relay that pools its connections\n\n", WEIR_VERSION);
    for (const struct command *c = commands; c->name != NULL; c++)
        printf("  weir %-11s %s\n", c->name, c->brief);
    printf("\n`weir help COMMAND` or `weir COMMAND --help` says more. The demo is the place to "
           "start.\n");
    return 0;
}

static const struct command_option *option_of(const struct command_option *options,
                                              const char *word, size_t len)
{
    for (; options->name != NULL; options++)
        if (strlen(options->name) == len && memcmp(options->name, word, len) == 0)
            return options;
    return NULL;
}

/* Each is told by one of its names at least, in the usage or in the help: --help is whole, and so
 * is what shells offer. */
static void check_told(const char *command, const struct command_option *options)
{
    const struct command *it = command_find(command);
    for (const struct command_option *one = options; it != NULL && one->name != NULL; one++) {
        bool is_told = false;
        for (const struct command_option *other = options; other->name != NULL; other++)
            is_told |= other->value == one->value && other->given == one->given
                       && (strstr(it->help, other->name) != NULL
                           || strstr(it->usage, other->name) != NULL);
        check(is_told);
    }
}

int command_options(const char *command, int count, char **words,
                    const struct command_option *options)
{
    int left = 0;
    check_told(command, options);
    for (int i = 0; i < count; i++) {
        const char *word = words[i];
        if (word[0] != '-' || word[1] == '\0') {
            words[left++] = words[i];
            continue;
        }
        size_t len = strcspn(word, "=");
        const struct command_option *option = option_of(options, word, len);
        bool joined = word[len] == '=';
        if (option == NULL || (joined && option->value == NULL)) {
            fprintf(stderr, "weir %s: there is no option %s; `weir %s --help` lists them\n",
                    command, word, command);
            return -1;
        }
        if (option->given != NULL)
            *option->given = true;
        if (option->value == NULL)
            continue;
        if (!joined && i + 1 == count) {
            fprintf(stderr, "weir %s: %s needs a value\n", command, word);
            return -1;
        }
        *option->value = joined ? word + len + 1 : words[++i];
    }
    return left;
}

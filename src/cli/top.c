/* SPDX-License-Identifier: Apache-2.0
 *
 * top.c - `weir top`: the terminal, its keys, and that it is left as it was, whatever ends the
 * program.
 */
#include "cli/top.h"

#include "cli/command.h"
#include "io/oserror.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <ncurses.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>

#define EVERY_MS     1000U
#define EVERY_MIN_MS 250U
#define EVERY_MAX_MS 60000U
#define ANSWER_S     3U

struct top {
    struct top_feed *feed;
    struct top_state *state;
    struct top_view view;
    bool has_state, is_over;
    int signals; /* a signalfd */
};

/* --- the terminal --------------------------------------------------------------------------------
 */

/* What a dying program says to it. */
static struct {
    struct termios was;
    char leave[128];
} terminal;

static void on_death(int number)
{
    ssize_t said = write(STDOUT_FILENO, terminal.leave, strlen(terminal.leave));
    (void)said;
    tcsetattr(STDIN_FILENO, TCSANOW, &terminal.was);
    raise(number); /* for good: SA_RESETHAND */
}

static void watch_death(void)
{
    static const int numbers[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    struct sigaction action = {.sa_handler = on_death, .sa_flags = (int)SA_RESETHAND | SA_NODEFER};
    const char *rmcup = tigetstr("rmcup"), *cnorm = tigetstr("cnorm"), *sgr0 = tigetstr("sgr0");
    bool is_known = rmcup != NULL && rmcup != (char *)-1 && cnorm != NULL && cnorm != (char *)-1
                    && sgr0 != NULL && sgr0 != (char *)-1;
    if (is_known)
        snprintf(terminal.leave, sizeof(terminal.leave), "%s%s%s", sgr0, cnorm, rmcup);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        sigaction(numbers[i], &action, NULL);
}

/* NULL, or what keeps it from being used. */
static const char *terminal_open(SCREEN **ret_screen)
{
    if (!isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &terminal.was) != 0)
        return "this is no terminal; `weir show` and `weir events` print";
    setlocale(LC_CTYPE, ""); /* NOLINT(concurrency-mt-unsafe): there is one thread */
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0) /* NOLINT(concurrency-mt-unsafe) */
        setlocale(LC_CTYPE, "C.UTF-8");             /* NOLINT(concurrency-mt-unsafe) */
    SCREEN *screen = newterm(NULL, stdout, stdin);
    if (screen == NULL)
        return "this kind of terminal (TERM) is not known";
    cbreak();
    noecho();
    nonl();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    curs_set(0);
    set_escdelay(50);
    if (has_colors()) {
        start_color();
        use_default_colors();
        init_pair(1, COLOR_GREEN, -1);
        init_pair(2, COLOR_YELLOW, -1);
        init_pair(3, COLOR_RED, -1);
    }
    watch_death();
    *ret_screen = screen;
    return NULL;
}

/* --- keys ----------------------------------------------------------------------------------------
 */

static void set_every(struct top *top, uint32_t every_ms)
{
    if (every_ms < EVERY_MIN_MS || every_ms > EVERY_MAX_MS)
        return;
    top->view.every_ms = every_ms;
    top_feed_set_every(top->feed, every_ms);
}

static void select_row(struct top *top, int by)
{
    if (top->has_state)
        top_select(top->state, &top->view, by);
}

static void on_key(struct top *top, int key)
{
    struct top_view *view = &top->view;
    switch (key) {
    case 'q':
    case 'Q': top->is_over = true; break;
    case 's': view->sort = (view->sort + 1) % TOP_SORTS; break;
    case 'p':
    case ' ': view->is_paused = !view->is_paused; break;
    case 'h':
    case '?': view->shows_help = !view->shows_help; break;
    case 27: view->shows_help = false; break;
    case 'k':
    case KEY_UP: select_row(top, -1); break;
    case 'j':
    case KEY_DOWN: select_row(top, 1); break;
    case KEY_PPAGE: select_row(top, -10); break;
    case KEY_NPAGE: select_row(top, 10); break;
    case '+': set_every(top, view->every_ms / 2); break;
    case '-': set_every(top, view->every_ms * 2); break;
    default: break;
    }
}

static void on_signal(struct top *top)
{
    struct signalfd_siginfo info;
    struct winsize size;
    while (read(top->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo != SIGWINCH)
            top->is_over = true;
        else if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0)
            resizeterm(size.ws_row, size.ws_col);
    }
}

/* --- the loop ------------------------------------------------------------------------------------
 */

static void draw(struct top *top)
{
    top_draw(top->has_state ? top->state : NULL, &top->view);
}

static void run(struct top *top)
{
    struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                           {.fd = top->signals, .events = POLLIN},
                           {.fd = top_feed_fd(top->feed), .events = POLLIN}};
    draw(top);
    while (!top->is_over) {
        int key;
        fds[2].events = top->view.is_paused ? 0 : POLLIN;
        fds[2].fd = top->view.is_paused ? -1 : top_feed_fd(top->feed);
        if (poll(fds, 3, -1) < 0 && errno != EINTR)
            break;
        if (fds[1].revents != 0)
            on_signal(top);
        while (!top->is_over && (key = getch()) != ERR)
            on_key(top, key);
        if ((fds[0].revents & (POLLHUP | POLLERR | POLLNVAL)) != 0)
            top->is_over = true; /* the terminal is gone */
        if (!top->view.is_paused && top_feed_take(top->feed, top->state))
            top->has_state = true;
        draw(top);
    }
}

/* Before the feed's thread, which inherits that they are not its own. */
static int signals_open(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGQUIT);
    sigaddset(&set, SIGWINCH);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int fail(const char *why)
{
    fprintf(stderr, "weir top: %s\n", why);
    return 1;
}

static int show(struct top *top, const struct ask *ask)
{
    SCREEN *screen = NULL;
    top->signals = signals_open();
    if (top->signals < 0)
        return fail(oserror_text(-errno));
    const char *fault = terminal_open(&screen);
    if (fault != NULL)
        return fail(fault);
    int error = top_feed_open(ask, top->view.every_ms, &top->feed);
    if (error == 0)
        run(top);
    endwin();
    if (error == 0)
        top_feed_close(top->feed);
    delscreen(screen);
    close(top->signals);
    return error == 0 ? 0 : fail(oserror_text(error));
}

int command_top(int count, char **words)
{
    const char *every = NULL;
    uint64_t every_ms = EVERY_MS;
    struct ask ask = {.command = "top", .timeout_s = ANSWER_S};
    const struct command_option options[] = {{"--every", &every, NULL},
                                             {"-c", &ask.config, NULL},
                                             {"--config", &ask.config, NULL},
                                             {"--admin", &ask.admin, NULL},
                                             {0}};
    int left = command_options("top", count, words, options);
    if (left < 0)
        return EXIT_USAGE;
    if (left > 0) {
        fprintf(stderr, "weir top: not understood: %s\n", words[0]);
        return EXIT_USAGE;
    }
    if (every != NULL
        && (!text_parse_duration(slice_of(every), &every_ms) || every_ms < EVERY_MIN_MS
            || every_ms > EVERY_MAX_MS)) {
        fprintf(stderr, "weir top: --every is a duration from 250ms to 1m, not %s\n", every);
        return EXIT_USAGE;
    }
    struct top top = {.view = {.every_ms = (uint32_t)every_ms, .sort = TOP_BY_RATE}};
    top.state = malloc(sizeof(*top.state));
    int status = top.state != NULL ? show(&top, &ask) : fail("out of memory");
    free(top.state);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * completion.c - `weir completion`: what a shell offers while a command is typed, from the table
 * that --help prints.
 *
 * Read from a command's usage, and from those lines of its help that begin with an option: an
 * option is a word that begins with '-'; the word behind it, where it is in capitals or a choice
 * ("text|json"), is its value; a word in small letters, or a choice of them, is a word of the
 * command's.
 */
#include "base/text.h"
#include "cli/command.h"

#include <stdio.h>
#include <string.h>

#define OPTIONS_MAX 64U
#define WORD_MAX    160U

struct offer {
    char name[WORD_MAX], value[WORD_MAX]; /* value "": it takes none */
};

struct offers {
    const struct command *command;
    struct offer options[OPTIONS_MAX];
    unsigned options_count;
    char words[2 * WORD_MAX]; /* behind the command, with spaces between them */
    bool takes_file;
};

/* --- reading the table ---------------------------------------------------------------------------
 */

static bool is_value(struct slice word)
{
    bool is_capitals = word.len > 1;
    for (uint32_t i = 0; i < word.len; i++)
        is_capitals = is_capitals && !(word.at[i] >= 'a' && word.at[i] <= 'z');
    return is_capitals || slice_is(word, "N") || slice_find(word, '|') < word.len;
}

static struct slice bare(struct slice word)
{
    while (word.len > 0 && strchr("[", word.at[0]) != NULL)
        word = slice_sub(word, 1, word.len);
    uint32_t len = word.len;
    while (len > 0 && strchr("],:", word.at[len - 1]) != NULL)
        len--;
    return slice_sub(word, 0, len);
}

static struct offer *option_named(struct offers *offers, struct slice name)
{
    for (unsigned i = 0; i < offers->options_count; i++)
        if (slice_is(name, offers->options[i].name))
            return &offers->options[i];
    if (offers->options_count == OPTIONS_MAX)
        return NULL;
    struct offer *option = &offers->options[offers->options_count++];
    slice_copy(option->name, sizeof(option->name), name);
    option->value[0] = '\0';
    return option;
}

static void add_choices(char *words, size_t size, struct slice choices)
{
    struct slice choice;
    while (slice_split(&choices, '|', &choice)) {
        size_t len = strlen(words);
        if (len + choice.len + 2 < size)
            snprintf(words + len, size - len, "%s%.*s", len > 0 ? " " : "", SLICE_ARG(choice));
    }
}

/* "-c FILE", "[--format text|json]", "-f, --follow", "TRACE|--rate". Options that stand before one
 * value share it. `words`: choices that are no option's are the command's. */
static void read_line(struct offers *offers, struct slice line, bool words)
{
    struct slice word;
    struct offer *before[4];
    unsigned count = 0;
    while (slice_word(&line, &word)) {
        bool ends = word.len > 0 && word.at[word.len - 1] == ']';
        struct slice text = bare(word);
        bool has_trace = slice_starts(text, SLICE("TRACE|"));
        uint32_t dash = has_trace ? 6 : slice_starts(text, SLICE("KEY|")) ? 4 : 0;
        struct slice name = slice_sub(text, dash, text.len);
        if (name.len > 1 && name.at[0] == '-') {
            struct offer *option = option_named(offers, name);
            if (option != NULL && count < 4 && !ends)
                before[count++] = option;
        } else if (is_value(text) && count > 0) {
            for (unsigned i = 0; i < count; i++)
                slice_copy(before[i]->value, sizeof(before[i]->value), text);
            count = 0;
        } else if (words && text.len > 0 && text.at[0] >= 'a' && text.at[0] <= 'z') {
            add_choices(offers->words, sizeof(offers->words), text);
        } else if (!words) {
            return; /* the prose begins */
        }
        offers->takes_file |= has_trace;
    }
}

static void read_command(const struct command *command, struct offers *ret_offers)
{
    struct slice help = slice_of(command->help), line;
    *ret_offers = (struct offers){.command = command};
    read_line(ret_offers, slice_of(command->usage), true);
    while (slice_split(&help, '\n', &line))
        if (slice_starts(line, SLICE("  -")))
            read_line(ret_offers, line, false);
    option_named(ret_offers, SLICE("--help"));
}

static bool is_choice(const struct offer *option)
{
    return strchr(option->value, '|') != NULL;
}

static bool is_file(const struct offer *option)
{
    return strcmp(option->value, "FILE") == 0;
}

/* --- shells --------------------------------------------------------------------------------------
 */

static void print_choices(const struct offer *option)
{
    for (const char *at = option->value; *at != '\0'; at++)
        putchar(*at == '|' ? ' ' : *at);
}

static void print_all(const struct offers *offers)
{
    printf("%s", offers->words);
    for (unsigned i = 0; i < offers->options_count; i++)
        printf("%s%s", i > 0 || offers->words[0] != '\0' ? " " : "", offers->options[i].name);
}

static void print_names(void)
{
    for (const struct command *c = commands; c->name != NULL; c++)
        printf("%s%s", c == commands ? "" : " ", c->name);
}

static void bash_values(const struct offers *offers)
{
    for (unsigned i = 0; i < offers->options_count; i++) {
        const struct offer *option = &offers->options[i];
        if (option->value[0] == '\0')
            continue;
        printf("    \"%s %s\") ", offers->command->name, option->name);
        if (is_choice(option)) {
            printf("COMPREPLY=($(compgen -W \"");
            print_choices(option);
            printf("\" -- \"$cur\")); ");
        } else if (is_file(option)) {
            printf("COMPREPLY=($(compgen -f -- \"$cur\")); ");
        }
        printf("return ;;\n");
    }
}

static void print_bash(void)
{
    struct offers offers;
    printf("# What bash offers behind `weir`: source it, or put it into bash-completion's folder.\n"
           "_weir() {\n"
           "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} IFS=$' \\t\\n'\n"
           "  COMPREPLY=()\n"
           "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
           "    COMPREPLY=($(compgen -W \"");
    print_names();
    printf(" --help --version\" -- \"$cur\")); return\n"
           "  fi\n"
           "  case \"${COMP_WORDS[1]} $prev\" in\n");
    for (const struct command *c = commands; c->name != NULL; c++) {
        read_command(c, &offers);
        bash_values(&offers);
    }
    printf("  esac\n"
           "  case \"${COMP_WORDS[1]}\" in\n");
    for (const struct command *c = commands; c->name != NULL; c++) {
        read_command(c, &offers);
        printf("    %s) COMPREPLY=($(compgen %s-W \"", c->name, offers.takes_file ? "-f " : "");
        if (c->run == command_help)
            print_names();
        else
            print_all(&offers);
        printf("\" -- \"$cur\")) ;;\n");
    }
    printf("  esac\n"
           "}\n"
           "complete -o filenames -F _weir weir\n");
}

/* Inside single quotes. */
static void print_quoted(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            printf("'\\''");
        else
            putchar(*text);
    }
}

static void zsh_values(const struct offers *offers)
{
    for (unsigned i = 0; i < offers->options_count; i++) {
        const struct offer *option = &offers->options[i];
        if (option->value[0] == '\0')
            continue;
        printf("    '%s %s') ", offers->command->name, option->name);
        if (is_choice(option)) {
            printf("compadd -- ");
            print_choices(option);
            printf("; ");
        } else if (is_file(option)) {
            printf("_files; ");
        }
        printf("return ;;\n");
    }
}

static void print_zsh(void)
{
    struct offers offers;
    printf("#compdef weir\n"
           "_weir() {\n"
           "  local -a commands\n"
           "  if (( CURRENT == 2 )); then\n"
           "    commands=(\n");
    for (const struct command *c = commands; c->name != NULL; c++) {
        printf("      '%s:", c->name);
        print_quoted(c->brief);
        printf("'\n");
    }
    printf("    )\n"
           "    _describe command commands; return\n"
           "  fi\n"
           "  case \"$words[2] $words[CURRENT-1]\" in\n");
    for (const struct command *c = commands; c->name != NULL; c++) {
        read_command(c, &offers);
        zsh_values(&offers);
    }
    printf("  esac\n"
           "  case \"$words[2]\" in\n");
    for (const struct command *c = commands; c->name != NULL; c++) {
        read_command(c, &offers);
        printf("    %s) %scompadd -- ", c->name, offers.takes_file ? "_files; " : "");
        if (c->run == command_help)
            print_names();
        else
            print_all(&offers);
        printf(" ;;\n");
    }
    printf("  esac\n"
           "}\n"
           "_weir \"$@\"\n");
}

static void fish_option(const struct command *command, const struct offer *option)
{
    bool is_long = option->name[1] == '-';
    printf("complete -c weir -n '__fish_seen_subcommand_from %s' -%s %s", command->name,
           is_long ? "l" : "s", option->name + (is_long ? 2 : 1));
    if (is_choice(option)) {
        printf(" -x -a '");
        print_choices(option);
        printf("'");
    } else if (is_file(option)) {
        printf(" -r -F");
    } else if (option->value[0] != '\0') {
        printf(" -x");
    }
    printf("\n");
}

static void print_fish(void)
{
    struct offers offers;
    printf("# What fish offers behind `weir`.\n"
           "complete -c weir -f\n");
    for (const struct command *c = commands; c->name != NULL; c++) {
        printf("complete -c weir -n __fish_use_subcommand -a %s -d '", c->name);
        for (const char *at = c->brief; *at != '\0'; at++)
            printf(*at == '\'' || *at == '\\' ? "\\%c" : "%c", *at);
        printf("'\n");
    }
    for (const struct command *c = commands; c->name != NULL; c++) {
        read_command(c, &offers);
        if (c->run == command_help || offers.words[0] != '\0') {
            printf("complete -c weir -n '__fish_seen_subcommand_from %s' -a '", c->name);
            if (c->run == command_help)
                print_names();
            else
                printf("%s", offers.words);
            printf("'\n");
        }
        if (offers.takes_file)
            printf("complete -c weir -n '__fish_seen_subcommand_from %s' -F\n", c->name);
        for (unsigned i = 0; i < offers.options_count; i++)
            fish_option(c, &offers.options[i]);
    }
}

int command_completion(int count, char **words)
{
    static const struct {
        const char *shell;
        void (*print)(void);
    } shells[] = {{"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}};
    const struct command_option options[] = {{0}};
    int left = command_options("completion", count, words, options);
    if (left < 0)
        return EXIT_USAGE;
    for (size_t i = 0; left == 1 && i < sizeof(shells) / sizeof(shells[0]); i++)
        if (strcmp(words[0], shells[i].shell) == 0) {
            shells[i].print();
            return 0;
        }
    fprintf(stderr, "weir completion: bash, zsh or fish?\n");
    return EXIT_USAGE;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * words.c - the rows of include/weir/def as words and texts. A number outside its table is shown as
 * "unknown".
 */
#include <weir/weir.h>

static const char *const err_words[WEIR_ERRS] = {
    [WEIR_OK] = "ok",
#define WEIR_ERR(name, word, where, text) [WEIR_E##name] = word,
#include <weir/def/err.def>
#undef WEIR_ERR
};

static const char *const err_texts[WEIR_ERRS] = {
    [WEIR_OK] = "no error",
#define WEIR_ERR(name, word, where, text) [WEIR_E##name] = text,
#include <weir/def/err.def>
#undef WEIR_ERR
};

static const unsigned char err_where[WEIR_ERRS] = {
#define WEIR_ERR(name, word, where, text) [WEIR_E##name] = (where),
#include <weir/def/err.def>
#undef WEIR_ERR
};

static const char *const state_words[WEIR_STATES] = {
#define WEIR_STATE_ROW(name, word, text) word,
#include <weir/def/state.def>
#undef WEIR_STATE_ROW
};

static const char *const key_state_words[WEIR_KEY_STATES] = {
#define WEIR_KEY_STATE_ROW(name, word, text) word,
#include <weir/def/key_state.def>
#undef WEIR_KEY_STATE_ROW
};

static const char *const event_words[WEIR_EVENTS] = {
#define WEIR_EVENT_ROW(name, word, text) word,
#include <weir/def/event.def>
#undef WEIR_EVENT_ROW
};

static const char *const fate_words[WEIR_FATES] = {
#define WEIR_FATE_ROW(name, word, text) word,
#include <weir/def/fate.def>
#undef WEIR_FATE_ROW
};

static const char *const health_words[WEIR_HEALTHS] = {
#define WEIR_HEALTH_ROW(name, word, text) word,
#include <weir/def/health.def>
#undef WEIR_HEALTH_ROW
};

static const char *word_at(const char *const *words, unsigned count, unsigned index)
{
    return index < count ? words[index] : "unknown";
}

const char *weir_err_text(weir_err err)
{
    return word_at(err_texts, WEIR_ERRS, err);
}

const char *weir_err_word(weir_err err)
{
    return word_at(err_words, WEIR_ERRS, err);
}

unsigned weir_err_where(weir_err err)
{
    return (unsigned)err < WEIR_ERRS ? err_where[err] : 0;
}

const char *weir_state_word(weir_state state)
{
    return word_at(state_words, WEIR_STATES, state);
}

const char *weir_key_state_word(weir_key_state state)
{
    return word_at(key_state_words, WEIR_KEY_STATES, state);
}

const char *weir_event_word(weir_event_kind kind)
{
    return word_at(event_words, WEIR_EVENTS, kind);
}

const char *weir_fate_word(weir_fate fate)
{
    return word_at(fate_words, WEIR_FATES, fate);
}

const char *weir_health_word(weir_health health)
{
    return word_at(health_words, WEIR_HEALTHS, health);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "client/ground.h"

#include "client/runtime.h"

#include <stdio.h>
#include <string.h>

#define TURN_MS 100 /* of a hosted runtime whose thread waits; what it waits for ends it, too */

/* --- names --------------------------------------------------------------------------------------
 */

static const struct ground_member *find(const weir_runtime *runtime, const char *name)
{
    const struct ground_member *member = runtime->members;
    while (member != NULL && strcmp(member->name, name) != 0) {
        member = member->next;
    }
    return member;
}

weir_err ground_join(weir_runtime *runtime, struct ground_member *member, const char *name,
                     const char *base)
{
    if (name != NULL && (strlen(name) >= sizeof member->name || *name == '\0')) {
        return ground_fault(WEIR_EINVAL, "name");
    }
    pthread_mutex_lock(&runtime->mutex);
    snprintf(member->name, sizeof member->name, "%s", name != NULL ? name : base);
    for (unsigned n = 2; name == NULL && find(runtime, member->name) != NULL; n++) {
        snprintf(member->name, sizeof member->name, "%s-%u", base, n);
    }
    weir_err err = runtime->is_closing                   ? WEIR_ECLOSED
                   : find(runtime, member->name) != NULL ? WEIR_EEXISTS
                                                         : WEIR_OK;
    if (err == WEIR_OK) {
        struct ground_member **end = &runtime->members;
        while (*end != NULL) {
            end = &(*end)->next;
        }
        member->next = NULL;
        *end = member;
    }
    pthread_mutex_unlock(&runtime->mutex);
    return err;
}

void ground_leave(weir_runtime *runtime, struct ground_member *member)
{
    pthread_mutex_lock(&runtime->mutex);
    struct ground_member **at = &runtime->members;
    while (*at != member) {
        at = &(*at)->next;
    }
    *at = member->next;
    pthread_mutex_unlock(&runtime->mutex);
}

void ground_each(weir_runtime *runtime, const void *kind,
                 bool (*fn)(void *arg, struct ground_member *member), void *arg)
{
    bool goes_on = true;
    pthread_mutex_lock(&runtime->mutex);
    for (struct ground_member *member = runtime->members; member != NULL && goes_on;
         member = member->next) {
        goes_on = member->kind != kind || fn(arg, member);
    }
    pthread_mutex_unlock(&runtime->mutex);
}

/* --- places -------------------------------------------------------------------------------------
 */

struct crew *ground_crew(weir_runtime *runtime)
{
    return runtime_crew(runtime);
}

const struct alloc *ground_alloc(const weir_runtime *runtime)
{
    return runtime_alloc(runtime);
}

struct worker *ground_here(const weir_runtime *runtime)
{
    if (!runtime_is_inside(runtime)) {
        return NULL;
    }
    return runtime->is_hosted ? runtime->places[0].worker : worker_here();
}

/* --- waiting ------------------------------------------------------------------------------------
 */

weir_err ground_may_wait(const weir_runtime *runtime)
{
    return runtime_is_inside(runtime) ? WEIR_ESTATE : WEIR_OK;
}

void ground_wait_init(struct ground_wait *wait)
{
    pthread_mutex_init(&wait->mutex, NULL);
    pthread_cond_init(&wait->moved, NULL);
    wait->is_over = false;
}

void ground_wait_fini(struct ground_wait *wait)
{
    pthread_cond_destroy(&wait->moved);
    pthread_mutex_destroy(&wait->mutex);
}

void ground_wait_end(struct ground_wait *wait)
{
    pthread_mutex_lock(&wait->mutex);
    wait->is_over = true;
    pthread_cond_signal(&wait->moved);
    pthread_mutex_unlock(&wait->mutex);
}

static bool is_over(struct ground_wait *wait)
{
    pthread_mutex_lock(&wait->mutex);
    bool over = wait->is_over;
    pthread_mutex_unlock(&wait->mutex);
    return over;
}

void ground_wait_for(struct ground_wait *wait, weir_runtime *runtime)
{
    if (runtime_is_host(runtime)) {
        while (!is_over(wait)) {
            loop_turn(runtime_host_loop(runtime), TURN_MS);
        }
        return;
    }
    pthread_mutex_lock(&wait->mutex);
    while (!wait->is_over) {
        pthread_cond_wait(&wait->moved, &wait->mutex);
    }
    pthread_mutex_unlock(&wait->mutex);
}

void ground_note_fault(const char *word)
{
    runtime_fault(word);
}

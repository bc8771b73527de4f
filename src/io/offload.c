/* SPDX-License-Identifier: Apache-2.0 */
#include "io/offload.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>

struct offload_thread {
    struct node node; /* offload->idle, busy or lost */
    struct offload *offload;
    pthread_t handle;
};

struct offload {
    pthread_mutex_t mutex;
    pthread_cond_t work;
    struct list jobs;
    struct list idle, busy, lost; /* threads */
    uint32_t threads_max;
    bool is_closing;
    char name[16];
    void (*lost_ends)(void *self);
    void *self;
    const struct alloc *alloc;
};

static void lock(struct offload *offload)
{
    int error = pthread_mutex_lock(&offload->mutex);
    check(error == 0);
}

static void unlock(struct offload *offload)
{
    int error = pthread_mutex_unlock(&offload->mutex);
    check(error == 0);
}

int offload_new(const struct offload_options *opt, struct offload **ret_offload)
{
    const struct alloc *alloc = opt->alloc != NULL ? opt->alloc : &alloc_libc;
    if (opt->threads_max > OFFLOAD_THREADS_MAX) {
        return -EINVAL;
    }
    struct offload *offload = alloc_zeroed(alloc, sizeof *offload);
    if (offload == NULL) {
        return -ENOMEM;
    }
    offload->alloc = alloc;
    offload->threads_max = opt->threads_max > 0 ? opt->threads_max : 1;
    offload->lost_ends = opt->lost_ends;
    offload->self = opt->self;
    for (size_t i = 0; opt->name != NULL && opt->name[i] != '\0' && i + 1 < sizeof offload->name;
         i++) {
        offload->name[i] = opt->name[i];
    }
    list_init(&offload->jobs);
    list_init(&offload->idle);
    list_init(&offload->busy);
    list_init(&offload->lost);
    pthread_mutex_init(&offload->mutex, NULL);
    pthread_cond_init(&offload->work, NULL);
    *ret_offload = offload;
    return 0;
}

void offload_free(struct offload *take_offload)
{
    check(take_offload->idle.count + take_offload->busy.count + take_offload->lost.count == 0);
    pthread_cond_destroy(&take_offload->work);
    pthread_mutex_destroy(&take_offload->mutex);
    alloc_free(take_offload->alloc, take_offload);
}

/* --- a thread -----------------------------------------------------------------------------------
 */

/* Locked. The next job, or NULL: there will be none. */
static struct offload_job *next_job(struct offload_thread *thread)
{
    struct offload *offload = thread->offload;
    while (offload->jobs.count == 0) {
        if (offload->is_closing) {
            return NULL;
        }
        pthread_cond_wait(&offload->work, &offload->mutex);
    }
    struct node *node = list_pop_front(&offload->jobs);
    return list_entry(node, struct offload_job, node);
}

/* Locked, and not any more: a thread that was given up has come back. */
static void bury(struct offload_thread *thread)
{
    struct offload *offload = thread->offload;
    list_remove(&offload->lost, &thread->node);
    alloc_free(offload->alloc, thread);
    unlock(offload);
    if (offload->lost_ends != NULL) {
        offload->lost_ends(offload->self);
    }
}

static void *thread_main(void *self)
{
    struct offload_thread *thread = self;
    struct offload *offload = thread->offload;
    struct offload_job *job;
    lock(offload);
    while ((job = next_job(thread)) != NULL) {
        list_move_back(&offload->idle, &offload->busy, &thread->node);
        job->thread = thread;
        unlock(offload);
        job->run(job);
        lock(offload);
        if (thread->node.home == &offload->lost) {
            bury(thread);
            return NULL;
        }
        list_move_back(&offload->busy, &offload->idle, &thread->node);
    }
    unlock(offload);
    return NULL;
}

static bool may_spawn(const struct offload *offload)
{
    uint32_t threads = offload->idle.count + offload->busy.count;
    return threads < offload->threads_max
           && threads + offload->lost.count < offload->threads_max + OFFLOAD_LOST_MAX;
}

/* Locked. Signals are the program's: its own threads take them. */
static int spawn(struct offload *offload)
{
    if (!may_spawn(offload)) {
        return -EAGAIN;
    }
    struct offload_thread *thread = alloc_zeroed(offload->alloc, sizeof *thread);
    if (thread == NULL) {
        return -ENOMEM;
    }
    sigset_t all, before;
    sigfillset(&all);
    thread->offload = offload;
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&thread->handle, NULL, thread_main, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        alloc_free(offload->alloc, thread);
        return -error;
    }
    pthread_setname_np(thread->handle, offload->name);
    list_push_back(&offload->idle, &thread->node);
    return 0;
}

/* --- jobs ---------------------------------------------------------------------------------------
 */

int offload_submit(struct offload *offload, struct offload_job *job)
{
    int error = 0;
    lock(offload);
    job->thread = NULL;
    bool is_served = offload->idle.count + offload->busy.count > 0;
    if (offload->idle.count > offload->jobs.count) { /* each job that is queued has one of them */
        pthread_cond_signal(&offload->work);
    } else {
        error = spawn(offload);
        error = is_served ? 0 : error; /* those that are there will come to it */
    }
    if (error == 0) {
        list_push_back(&offload->jobs, &job->node);
    }
    unlock(offload);
    return error;
}

bool offload_withdraw(struct offload *offload, struct offload_job *job)
{
    lock(offload);
    bool is_queued = job->node.home == &offload->jobs;
    if (is_queued) {
        list_remove(&offload->jobs, &job->node);
    }
    unlock(offload);
    return is_queued;
}

void offload_abandon(struct offload *offload, struct offload_job *job)
{
    lock(offload);
    struct offload_thread *thread = job->thread;
    check(thread != NULL && thread->node.home == &offload->busy);
    list_move_back(&offload->busy, &offload->lost, &thread->node);
    pthread_detach(thread->handle);
    if (offload->jobs.count > offload->idle.count) {
        spawn(offload); /* where that fails, the next submit tries again */
    }
    unlock(offload);
}

struct offload_count offload_count(struct offload *offload)
{
    lock(offload);
    struct offload_count count = {.threads = offload->idle.count + offload->busy.count,
                                  .busy = offload->busy.count,
                                  .lost = offload->lost.count};
    unlock(offload);
    return count;
}

static struct offload_thread *next_to_join(struct offload *offload)
{
    struct node *node = list_first(&offload->busy);
    node = node != NULL ? node : list_first(&offload->idle);
    return node != NULL ? list_entry(node, struct offload_thread, node) : NULL;
}

void offload_close(struct offload *offload)
{
    struct offload_thread *thread;
    lock(offload);
    check(offload->jobs.count == 0);
    offload->is_closing = true;
    pthread_cond_broadcast(&offload->work);
    while ((thread = next_to_join(offload)) != NULL) {
        unlock(offload);
        pthread_join(thread->handle, NULL);
        lock(offload);
        list_leave(&thread->node);
        alloc_free(offload->alloc, thread);
    }
    unlock(offload);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * named.h - a connector's connections by the pool's name for them, since until one is up the pool
 * knows nothing else of it.
 */
#pragma once
#include <weir/weir.h>

#include "base/list.h"

/* Lies inside the connection. */
struct named {
    struct node on_list;
    weir_conn id;
};

static inline void named_add(struct list *list, struct named *named, weir_conn id)
{
    named->id = id;
    list_push_back(list, &named->on_list);
}

/* One that is there: the pool closes none that has not been dialled, or has said that it is down.
 */
static inline struct named *named_of(struct list *list, weir_conn id)
{
    struct node *it = list_first(list);
    while (it != NULL && list_entry(it, struct named, on_list)->id.id != id.id) {
        it = list_next(it);
    }
    check(it != NULL);
    return list_entry(it, struct named, on_list);
}

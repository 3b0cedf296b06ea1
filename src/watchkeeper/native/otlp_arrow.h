/* The structure of Arrow's C data interface (its layout is fixed by Arrow's specification), and who fills it. */
#ifndef WATCHKEEPER_OTLP_ARROW_H
#define WATCHKEEPER_OTLP_ARROW_H

#include <stdbool.h>
#include <stdint.h>

#include "otlp.h"

struct ArrowArray {
    int64_t length, null_count, offset, n_buffers, n_children;
    const void **buffers;
    struct ArrowArray **children;
    struct ArrowArray *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};

/* Gives the table's memory to a struct array of its columns; the table is to be freed all the same. */
bool wk_table_export(wk_table *table, struct ArrowArray *array);

#endif

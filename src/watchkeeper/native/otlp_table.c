/* Columns that grow row by row, and how they are handed to Arrow through its C data interface, without a copy. */
#include "otlp_arrow.h"

#include <stdlib.h>

#include "otlp.h"

#define ROWS_FIRST 256
#define BYTES_FIRST 512
#define SLACK_MAX 4096

bool wk_buffer_grow(wk_buffer *buffer, size_t more) {
    WK_TRY(more <= (size_t)INT32_MAX && buffer->size <= (size_t)INT32_MAX);
    size_t capacity = buffer->capacity == 0 ? BYTES_FIRST : buffer->capacity * 2;
    if (capacity < buffer->size + more) {
        capacity = buffer->size + more;
    }
    uint8_t *data = realloc(buffer->data, capacity);
    WK_TRY(data != NULL);
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

/* Bytes that the values of `rows` rows take; offsets are one more than the rows. */
static size_t values_size(uint8_t kind, size_t rows) {
    switch (kind) {
        case WK_COLUMN_U8:
            return rows;
        case WK_COLUMN_32:
            return rows * 4;
        case WK_COLUMN_64:
            return rows * 8;
        case WK_COLUMN_BIT:
            return (rows + 7) / 8;
        default:
            return (rows + 1) * 4;
    }
}

static bool grow_zeroed(uint8_t **data, size_t before, size_t after) {
    uint8_t *grown = realloc(*data, after);
    WK_TRY(grown != NULL);
    memset(grown + before, 0, after - before);
    *data = grown;
    return true;
}

bool wk_table_grow(wk_table *table) {
    const size_t capacity = table->capacity == 0 ? ROWS_FIRST : table->capacity * 2;
    WK_TRY(capacity <= (size_t)INT32_MAX / 8);
    for (int i = 0; i < table->count; i++) {
        wk_column *column = &table->columns[i];
        const size_t before = table->capacity == 0 ? 0 : values_size(column->kind, table->capacity);
        WK_TRY(grow_zeroed(&column->values, before, values_size(column->kind, capacity)));
        if (column->nullable) {
            WK_TRY(grow_zeroed(&column->valid, table->capacity / 8, capacity / 8));
        }
    }
    table->capacity = capacity;
    return true;
}

bool wk_end_row(wk_table *table) {
    for (int i = 0; i < table->count; i++) {
        wk_column *column = &table->columns[i];
        if (column->kind < WK_COLUMN_TEXT) {
            continue;
        }
        const size_t size = column->kind == WK_COLUMN_LIST ? column->data.size / 8 : column->data.size;
        WK_TRY(size <= (size_t)INT32_MAX);
        const int32_t offset = (int32_t)size;
        memcpy(column->values + (table->rows + 1) * 4, &offset, 4);
    }
    table->rows++;
    return true;
}

void wk_table_init(wk_table *table, const uint8_t *kinds, int count) {
    table->count = count;
    for (int i = 0; i < count; i++) {
        table->columns[i].kind = (uint8_t)(kinds[i] & ~WK_NULLABLE);
        table->columns[i].nullable = (kinds[i] & WK_NULLABLE) != 0;
    }
}

void wk_table_free(wk_table *table) {
    for (int i = 0; i < table->count; i++) {
        wk_column *column = &table->columns[i];
        free(column->values);
        free(column->valid);
        free(column->data.data);
        column->values = column->valid = column->data.data = NULL;
    }
    table->count = 0;
}

/* ---- Arrow ---- */

typedef struct {
    const void *buffers[3];
    struct ArrowArray *children;
    struct ArrowArray **child_pointers;
} owner;

static void release(struct ArrowArray *array) {
    owner *owned = array->private_data;
    for (int64_t i = 0; i < array->n_children; i++) {
        if (array->children[i]->release != NULL) {
            array->children[i]->release(array->children[i]);
        }
    }
    for (int i = 0; i < 3; i++) {
        free((void *)owned->buffers[i]);
    }
    free(owned->children);
    free(owned->child_pointers);
    free(owned);
    array->release = NULL;
}

static bool export_array(struct ArrowArray *array, int64_t length, int64_t buffers, int64_t children) {
    owner *owned = calloc(1, sizeof *owned);
    WK_TRY(owned != NULL);
    *array = (struct ArrowArray){.length = length, .n_buffers = buffers, .release = release};
    array->private_data = owned;
    array->buffers = owned->buffers;
    if (children > 0) {
        owned->children = calloc((size_t)children, sizeof *owned->children);
        owned->child_pointers = calloc((size_t)children, sizeof *owned->child_pointers);
        if (owned->children == NULL || owned->child_pointers == NULL) {
            release(array);
            return false;
        }
        for (int64_t i = 0; i < children; i++) {
            owned->child_pointers[i] = &owned->children[i];
        }
        array->n_children = children;
        array->children = owned->child_pointers;
    }
    return true;
}

/* Gives memory away, less what is allocated for growth only. Arrow wants a pointer even to nothing. */
static void *given(uint8_t **data, size_t size, size_t capacity) {
    uint8_t *memory = *data;
    *data = NULL;
    if (memory == NULL) {
        return malloc(8);
    }
    if (capacity - size > SLACK_MAX) {
        uint8_t *fitted = realloc(memory, size == 0 ? 1 : size);
        return fitted == NULL ? memory : fitted;
    }
    return memory;
}

static int64_t count_nulls(const uint8_t *valid, size_t rows) {
    int64_t nulls = 0;
    for (size_t row = 0; row < rows; row++) {
        nulls += (valid[row >> 3] >> (row & 7) & 1) == 0;
    }
    return nulls;
}

static bool export_column(wk_column *column, const wk_table *table, struct ArrowArray *array) {
    const size_t rows = table->rows;
    const bool list = column->kind == WK_COLUMN_LIST;
    WK_TRY(export_array(array, (int64_t)rows, column->kind == WK_COLUMN_TEXT ? 3 : 2, list ? 1 : 0));
    owner *owned = array->private_data;
    if (column->nullable && column->valid != NULL) {
        array->null_count = count_nulls(column->valid, rows);
        owned->buffers[0] = column->valid;
        column->valid = NULL;
    }
    const bool offsets = column->kind >= WK_COLUMN_TEXT;
    if (offsets && column->values == NULL) {
        owned->buffers[1] = calloc(1, 4);
    } else {
        owned->buffers[1] =
            given(&column->values, values_size(column->kind, rows), values_size(column->kind, table->capacity));
    }
    WK_TRY(owned->buffers[1] != NULL);
    if (column->kind == WK_COLUMN_TEXT) {
        owned->buffers[2] = given(&column->data.data, column->data.size, column->data.capacity);
        return owned->buffers[2] != NULL;
    }
    if (list) {
        struct ArrowArray *items = array->children[0];
        WK_TRY(export_array(items, (int64_t)(column->data.size / 8), 2, 0));
        owner *of_items = items->private_data;
        of_items->buffers[1] = given(&column->data.data, column->data.size, column->data.capacity);
        return of_items->buffers[1] != NULL;
    }
    return true;
}

bool wk_table_export(wk_table *table, struct ArrowArray *array) {
    WK_TRY(export_array(array, (int64_t)table->rows, 1, table->count));
    for (int i = 0; i < table->count; i++) {
        if (!export_column(&table->columns[i], table, array->children[i])) {
            release(array);
            return false;
        }
    }
    return true;
}

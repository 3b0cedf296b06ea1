/* OTLP from protobuf wire bytes to Arrow columns, without a message in between.
 *
 * The rule of all functions here that give a bool: true means sure. False means that something is malformed, too large
 * or merely unusual (a submessage sent twice, a group, an overlong number ...); then the whole request is left to the
 * reference decoder in Python, which alone decides what is an error. So nothing here needs to tell errors apart, and a
 * doubt costs time, never correctness.
 */
#ifndef WATCHKEEPER_OTLP_H
#define WATCHKEEPER_OTLP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define WK_TRY(step)          \
    do {                      \
        if (!(step)) {        \
            return false;     \
        }                     \
    } while (0)

/* ---- growable bytes (otlp_table.c) ---- */

typedef struct {
    uint8_t *data;
    size_t size, capacity;
} wk_buffer;

bool wk_buffer_grow(wk_buffer *buffer, size_t more);

static inline bool wk_reserve(wk_buffer *buffer, size_t more) {
    return buffer->capacity - buffer->size >= more || wk_buffer_grow(buffer, more);
}

static inline bool wk_append(wk_buffer *buffer, const void *data, size_t size) {
    WK_TRY(wk_reserve(buffer, size));
    if (size > 0) {
        memcpy(buffer->data + buffer->size, data, size);
        buffer->size += size;
    }
    return true;
}

static inline bool wk_append_byte(wk_buffer *buffer, char byte) {
    WK_TRY(wk_reserve(buffer, 1));
    buffer->data[buffer->size++] = (uint8_t)byte;
    return true;
}

#define WK_APPEND_WORD(buffer, word) wk_append((buffer), (word), sizeof(word) - 1)

/* ---- reading the wire ---- */

typedef struct {
    const uint8_t *at, *end;
} wk_bytes;

static inline size_t wk_left(const wk_bytes *from) { return (size_t)(from->end - from->at); }

bool wk_read_long_varint(wk_bytes *from, uint64_t *value);
bool wk_skip(wk_bytes *from, uint32_t tag);

static inline bool wk_read_varint(wk_bytes *from, uint64_t *value) {
    if (from->at < from->end && *from->at < 0x80) {
        *value = *from->at++;
        return true;
    }
    return wk_read_long_varint(from, value);
}

/* The tag of the next field: its number shifted by 3, and its wire type. Tags have five bytes at most. */
static inline bool wk_read_tag(wk_bytes *from, uint32_t *tag) {
    uint64_t value;
    WK_TRY(wk_read_varint(from, &value));
    *tag = (uint32_t)value;
    return value >> 3 != 0 && value <= UINT32_MAX;
}

static inline bool wk_read_u32(wk_bytes *from, uint32_t *value) {
    uint64_t wide;
    WK_TRY(wk_read_varint(from, &wide));
    *value = (uint32_t)wide; /* protobuf cuts a number that is too wide for its field */
    return true;
}

static inline bool wk_read_fixed64(wk_bytes *from, uint64_t *value) {
    WK_TRY(wk_left(from) >= 8);
    memcpy(value, from->at, 8);
    from->at += 8;
    return true;
}

static inline bool wk_read_fixed32(wk_bytes *from, uint32_t *value) {
    WK_TRY(wk_left(from) >= 4);
    memcpy(value, from->at, 4);
    from->at += 4;
    return true;
}

static inline bool wk_read_bytes(wk_bytes *from, wk_bytes *inner) {
    uint64_t length;
    WK_TRY(wk_read_varint(from, &length) && length <= wk_left(from));
    inner->at = from->at;
    inner->end = from->at + length;
    from->at = inner->end;
    return true;
}

/* Reads a submessage that may be sent once only: twice would have to be merged. */
static inline bool wk_read_once(wk_bytes *from, wk_bytes *inner) {
    return inner->at == NULL && wk_read_bytes(from, inner);
}

size_t wk_utf8_sequence(const uint8_t *at, const uint8_t *end);
bool wk_is_utf8(wk_bytes text);

static inline bool wk_read_text(wk_bytes *from, wk_bytes *text) {
    return wk_read_bytes(from, text) && wk_is_utf8(*text);
}

#define WK_TAG(field, wire) ((uint32_t)(field) << 3 | (wire))
#define WK_VARINT(field) WK_TAG(field, 0)
#define WK_FIXED64(field) WK_TAG(field, 1)
#define WK_BYTES(field) WK_TAG(field, 2)
#define WK_FIXED32(field) WK_TAG(field, 5)

/* ---- tables of columns (otlp_table.c) ---- */

typedef enum {
    WK_COLUMN_U8,
    WK_COLUMN_32,
    WK_COLUMN_64,
    WK_COLUMN_BIT,
    WK_COLUMN_TEXT,
    WK_COLUMN_LIST, /* of 64-bit values */
} wk_column_kind;

#define WK_NULLABLE 0x80

typedef struct {
    uint8_t kind;
    bool nullable;
    uint8_t *values; /* of fixed width, or the offsets into `data` */
    uint8_t *valid;
    wk_buffer data;
} wk_column;

#define WK_COLUMNS_MAX 32

/* A row is zeroes, nulls and nothing appended until something is set; wk_end_row makes it count. */
typedef struct {
    wk_column columns[WK_COLUMNS_MAX];
    int count;
    size_t rows, capacity;
} wk_table;

bool wk_table_grow(wk_table *table);
bool wk_end_row(wk_table *table);
void wk_table_init(wk_table *table, const uint8_t *kinds, int count);
void wk_table_free(wk_table *table);

static inline bool wk_begin_row(wk_table *table) { return table->rows < table->capacity || wk_table_grow(table); }

static inline wk_buffer *wk_data(wk_table *table, int column) { return &table->columns[column].data; }

static inline void wk_set_valid(wk_table *table, int column) {
    table->columns[column].valid[table->rows >> 3] |= (uint8_t)(1u << (table->rows & 7));
}

static inline void wk_set_u8(wk_table *table, int column, uint8_t value) {
    table->columns[column].values[table->rows] = value;
}

static inline void wk_set_32(wk_table *table, int column, uint32_t value) {
    memcpy(table->columns[column].values + table->rows * 4, &value, 4);
}

static inline void wk_set_64(wk_table *table, int column, uint64_t value) {
    memcpy(table->columns[column].values + table->rows * 8, &value, 8);
}

static inline void wk_set_valid_32(wk_table *table, int column, uint32_t value) {
    wk_set_32(table, column, value);
    wk_set_valid(table, column);
}

static inline void wk_set_valid_64(wk_table *table, int column, uint64_t value) {
    wk_set_64(table, column, value);
    wk_set_valid(table, column);
}

static inline void wk_set_valid_bit(wk_table *table, int column, bool value) {
    table->columns[column].values[table->rows >> 3] |= (uint8_t)((unsigned)value << (table->rows & 7));
    wk_set_valid(table, column);
}

static inline bool wk_set_text(wk_table *table, int column, wk_bytes text) {
    return wk_append(wk_data(table, column), text.at, wk_left(&text));
}

/* ---- JSON text (otlp_json.c) ---- */

/* The numbers of BODY_* in signals/schema.py. */
typedef enum {
    WK_VALUE_EMPTY,
    WK_VALUE_STRING,
    WK_VALUE_BOOL,
    WK_VALUE_INT,
    WK_VALUE_DOUBLE,
    WK_VALUE_ARRAY,
    WK_VALUE_MAP,
    WK_VALUE_BYTES,
} wk_value_kind;

typedef struct {
    wk_value_kind kind;
    wk_bytes bytes;
    uint64_t number;
} wk_value;

bool wk_read_value(wk_bytes bytes, wk_value *value);
bool wk_write_value(wk_buffer *out, const wk_value *value, int depth);
bool wk_write_string(wk_buffer *out, wk_bytes text);
bool wk_write_double(wk_buffer *out, uint64_t bits);
bool wk_write_u64(wk_buffer *out, uint64_t number);
bool wk_write_i64(wk_buffer *out, int64_t number);
bool wk_write_hex(wk_buffer *out, wk_bytes bytes);

/* Writes one KeyValue as a member of the object that `out` ends in, with a comma behind it. `hash`, if any, takes the
 * member's hash in: see otlp_series.py. */
bool wk_write_attribute(wk_buffer *out, wk_bytes pair, uint64_t *hash);

/* Closes what members were written to: the last comma becomes `closing`, which follows `opened` if there was none. */
bool wk_close(wk_buffer *out, size_t opened, char closing);

uint64_t wk_text_hash(wk_bytes text);
uint64_t wk_combine(uint64_t first, uint64_t second);

/* ---- one request (otlp_request.c) ---- */

typedef struct wk_request wk_request;

struct wk_request {
    int64_t received_unix_ns;
    wk_table rows, scopes, resources, heads;
    bool (*record)(wk_request *request, wk_bytes bytes);
};

bool wk_log_record(wk_request *request, wk_bytes bytes);
bool wk_span(wk_request *request, wk_bytes bytes);
bool wk_metric(wk_request *request, wk_bytes bytes);

void wk_logs_init(wk_request *request);
void wk_spans_init(wk_request *request);
void wk_metrics_init(wk_request *request);

/* Sets the effective time and where it is from (the TIME_FROM_* of signals/schema.py) in columns 0 and 1. */
bool wk_set_time(wk_request *request, uint64_t event, uint64_t observed);

#endif

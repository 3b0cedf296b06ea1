/* What each kind of metric point has of its own, and exemplars. */
#include "otlp_points.h"

/* ---- numbers of a repeated field, sent packed or one by one ---- */

static bool append_64(wk_buffer *out, uint64_t number) { return wk_append(out, &number, sizeof number); }

static bool read_packed_fixed64(wk_bytes *from, wk_buffer *out) {
    wk_bytes inner;
    WK_TRY(wk_read_bytes(from, &inner) && wk_left(&inner) % 8 == 0);
    return wk_append(out, inner.at, wk_left(&inner));
}

static bool read_one_fixed64(wk_bytes *from, wk_buffer *out) {
    uint64_t number;
    return wk_read_fixed64(from, &number) && append_64(out, number);
}

static bool read_packed_varints(wk_bytes *from, wk_buffer *out) {
    wk_bytes inner;
    WK_TRY(wk_read_bytes(from, &inner));
    while (inner.at < inner.end) {
        uint64_t number;
        WK_TRY(wk_read_varint(&inner, &number) && append_64(out, number));
    }
    return true;
}

static bool read_one_varint(wk_bytes *from, wk_buffer *out) {
    uint64_t number;
    return wk_read_varint(from, &number) && append_64(out, number);
}

static bool read_sint32(wk_bytes *from, uint32_t *value) {
    WK_TRY(wk_read_u32(from, value));
    *value = *value >> 1 ^ (0u - (*value & 1));
    return true;
}

static bool set_fixed64(wk_table *rows, int column, wk_bytes *from) {
    uint64_t number;
    WK_TRY(wk_read_fixed64(from, &number));
    wk_set_valid_64(rows, column, number);
    return true;
}

/* ---- gauge and sum ---- */

static void unset(wk_table *rows, int column) {
    wk_set_64(rows, column, 0);
    rows->columns[column].valid[rows->rows >> 3] &= (uint8_t)~(1u << (rows->rows & 7));
}

static bool number_field(wk_table *rows, wk_bytes *from, uint32_t tag) {
    switch (tag) {
        case WK_FIXED64(4):
            unset(rows, VALUE_INT);
            return set_fixed64(rows, VALUE_DOUBLE, from);
        case WK_FIXED64(6):
            unset(rows, VALUE_DOUBLE);
            return set_fixed64(rows, VALUE_INT, from);
        default:
            return wk_skip(from, tag);
    }
}

static void number_defaults(wk_table *rows) { (void)rows; }

const wk_point_kind WK_NUMBER_POINT = {WK_BYTES(7), WK_BYTES(5), WK_VARINT(8), number_field, number_defaults};

/* ---- histogram ---- */

static bool histogram_field(wk_table *rows, wk_bytes *from, uint32_t tag) {
    switch (tag) {
        case WK_FIXED64(4):
            return set_fixed64(rows, COUNT, from);
        case WK_FIXED64(5):
            return set_fixed64(rows, SUM, from);
        case WK_BYTES(6):
            return read_packed_fixed64(from, wk_data(rows, BUCKET_COUNTS));
        case WK_FIXED64(6):
            return read_one_fixed64(from, wk_data(rows, BUCKET_COUNTS));
        case WK_BYTES(7):
            return read_packed_fixed64(from, wk_data(rows, EXPLICIT_BOUNDS));
        case WK_FIXED64(7):
            return read_one_fixed64(from, wk_data(rows, EXPLICIT_BOUNDS));
        case WK_FIXED64(11):
            return set_fixed64(rows, MIN, from);
        case WK_FIXED64(12):
            return set_fixed64(rows, MAX, from);
        default:
            return wk_skip(from, tag);
    }
}

static void histogram_defaults(wk_table *rows) {
    wk_set_valid_64(rows, COUNT, 0);
    wk_set_valid(rows, BUCKET_COUNTS);
    wk_set_valid(rows, EXPLICIT_BOUNDS);
}

const wk_point_kind WK_HISTOGRAM_POINT = {WK_BYTES(9), WK_BYTES(8), WK_VARINT(10), histogram_field,
                                          histogram_defaults};

/* ---- exponential histogram ---- */

/* Buckets: `offset` is a column, the counts are the one behind it. Sent twice they would have to be merged. */
static bool read_buckets(wk_table *rows, wk_bytes *from, int offset) {
    wk_bytes inner;
    WK_TRY(wk_read_bytes(from, &inner));
    WK_TRY((rows->columns[offset].valid[rows->rows >> 3] >> (rows->rows & 7) & 1) == 0);
    wk_set_valid_32(rows, offset, 0);
    wk_set_valid(rows, offset + 1);
    while (inner.at < inner.end) {
        uint32_t tag, number;
        WK_TRY(wk_read_tag(&inner, &tag));
        switch (tag) {
            case WK_VARINT(1):
                WK_TRY(read_sint32(&inner, &number));
                wk_set_32(rows, offset, number);
                break;
            case WK_BYTES(2):
                WK_TRY(read_packed_varints(&inner, wk_data(rows, offset + 1)));
                break;
            case WK_VARINT(2):
                WK_TRY(read_one_varint(&inner, wk_data(rows, offset + 1)));
                break;
            default:
                WK_TRY(wk_skip(&inner, tag));
        }
    }
    return true;
}

static bool exponential_field(wk_table *rows, wk_bytes *from, uint32_t tag) {
    uint32_t number;
    switch (tag) {
        case WK_FIXED64(4):
            return set_fixed64(rows, COUNT, from);
        case WK_FIXED64(5):
            return set_fixed64(rows, SUM, from);
        case WK_VARINT(6):
            WK_TRY(read_sint32(from, &number));
            wk_set_32(rows, SCALE, number);
            return true;
        case WK_FIXED64(7):
            return set_fixed64(rows, ZERO_COUNT, from);
        case WK_BYTES(8):
            return read_buckets(rows, from, POSITIVE_OFFSET);
        case WK_BYTES(9):
            return read_buckets(rows, from, NEGATIVE_OFFSET);
        case WK_FIXED64(12):
            return set_fixed64(rows, MIN, from);
        case WK_FIXED64(13):
            return set_fixed64(rows, MAX, from);
        case WK_FIXED64(14):
            return set_fixed64(rows, ZERO_THRESHOLD, from);
        default:
            return wk_skip(from, tag);
    }
}

static void exponential_defaults(wk_table *rows) {
    wk_set_valid_64(rows, COUNT, 0);
    wk_set_valid_32(rows, SCALE, 0);
    wk_set_valid_64(rows, ZERO_COUNT, 0);
    wk_set_valid_64(rows, ZERO_THRESHOLD, 0);
}

const wk_point_kind WK_EXPONENTIAL_POINT = {WK_BYTES(1), WK_BYTES(11), WK_VARINT(10), exponential_field,
                                            exponential_defaults};

/* ---- summary ---- */

static bool read_quantile(wk_table *rows, wk_bytes *from) {
    wk_bytes inner;
    uint64_t quantile = 0, value = 0;
    WK_TRY(wk_read_bytes(from, &inner));
    while (inner.at < inner.end) {
        uint32_t tag;
        WK_TRY(wk_read_tag(&inner, &tag));
        if (tag == WK_FIXED64(1)) {
            WK_TRY(wk_read_fixed64(&inner, &quantile));
        } else if (tag == WK_FIXED64(2)) {
            WK_TRY(wk_read_fixed64(&inner, &value));
        } else {
            WK_TRY(wk_skip(&inner, tag));
        }
    }
    return append_64(wk_data(rows, QUANTILES), quantile) && append_64(wk_data(rows, QUANTILE_VALUES), value);
}

static bool summary_field(wk_table *rows, wk_bytes *from, uint32_t tag) {
    switch (tag) {
        case WK_FIXED64(4):
            return set_fixed64(rows, COUNT, from);
        case WK_FIXED64(5):
            return set_fixed64(rows, SUM, from);
        case WK_BYTES(6):
            return read_quantile(rows, from);
        default:
            return wk_skip(from, tag);
    }
}

static void summary_defaults(wk_table *rows) {
    wk_set_valid_64(rows, COUNT, 0);
    wk_set_valid_64(rows, SUM, 0);
    wk_set_valid(rows, QUANTILES);
    wk_set_valid(rows, QUANTILE_VALUES);
}

const wk_point_kind WK_SUMMARY_POINT = {WK_BYTES(7), 0, WK_VARINT(8), summary_field, summary_defaults};

/* ---- exemplars ---- */

typedef struct {
    uint64_t time, value;
    uint32_t value_tag;
    wk_bytes span_id, trace_id;
} exemplar;

static bool read_exemplar(wk_bytes from, exemplar *into) {
    while (from.at < from.end) {
        uint32_t tag;
        WK_TRY(wk_read_tag(&from, &tag));
        switch (tag) {
            case WK_FIXED64(2):
                WK_TRY(wk_read_fixed64(&from, &into->time));
                break;
            case WK_FIXED64(3):
            case WK_FIXED64(6):
                into->value_tag = tag;
                WK_TRY(wk_read_fixed64(&from, &into->value));
                break;
            case WK_BYTES(4):
                WK_TRY(wk_read_bytes(&from, &into->span_id));
                break;
            case WK_BYTES(5):
                WK_TRY(wk_read_bytes(&from, &into->trace_id));
                break;
            default:
                WK_TRY(wk_skip(&from, tag));
        }
    }
    return true;
}

static bool write_exemplar_value(wk_buffer *out, const exemplar *from) {
    if (from->value_tag == WK_FIXED64(6)) {
        return WK_APPEND_WORD(out, ",\"as_int\":") && wk_write_i64(out, (int64_t)from->value);
    }
    if (from->value_tag == WK_FIXED64(3)) {
        return WK_APPEND_WORD(out, ",\"as_double\":") && wk_write_double(out, from->value);
    }
    return true;
}

static bool write_filtered_attributes(wk_buffer *out, wk_bytes from) {
    WK_TRY(WK_APPEND_WORD(out, "\",\"filtered_attributes\":{"));
    const size_t opened = out->size;
    while (from.at < from.end) {
        uint32_t tag;
        wk_bytes pair;
        WK_TRY(wk_read_tag(&from, &tag));
        if (tag == WK_BYTES(7)) {
            WK_TRY(wk_read_bytes(&from, &pair) && wk_write_attribute(out, pair, NULL));
        } else {
            WK_TRY(wk_skip(&from, tag));
        }
    }
    return wk_close(out, opened, '}');
}

bool wk_write_exemplar(wk_buffer *out, wk_bytes bytes) {
    exemplar read = {.time = 0};
    return read_exemplar(bytes, &read) && WK_APPEND_WORD(out, "{\"time_unix_nano\":") && wk_write_u64(out, read.time) &&
           write_exemplar_value(out, &read) && WK_APPEND_WORD(out, ",\"trace_id\":\"") &&
           wk_write_hex(out, read.trace_id) && WK_APPEND_WORD(out, "\",\"span_id\":\"") &&
           wk_write_hex(out, read.span_id) && write_filtered_attributes(out, bytes) && WK_APPEND_WORD(out, "},");
}

/* Metric to rows of metrics, one a point, and a row of what its points share. */
#include "otlp_points.h"

enum { NAME, DESCRIPTION, UNIT, KIND, TEMPORALITY, MONOTONIC, METADATA, HEAD_SERIES, SCOPE, HEAD_COLUMNS };

static const uint8_t HEAD_KINDS[HEAD_COLUMNS] = {
    [NAME] = WK_COLUMN_TEXT,
    [DESCRIPTION] = WK_COLUMN_TEXT,
    [UNIT] = WK_COLUMN_TEXT,
    [KIND] = WK_COLUMN_TEXT,
    [TEMPORALITY] = WK_COLUMN_32 | WK_NULLABLE,
    [MONOTONIC] = WK_COLUMN_BIT | WK_NULLABLE,
    [METADATA] = WK_COLUMN_TEXT,
    [HEAD_SERIES] = WK_COLUMN_64,
    [SCOPE] = WK_COLUMN_32,
};

static const uint8_t POINT_KINDS[POINT_COLUMNS] = {
    [TIME] = WK_COLUMN_64,
    [TIME_SOURCE] = WK_COLUMN_U8,
    [START_TIME] = WK_COLUMN_64,
    [ATTRIBUTES] = WK_COLUMN_TEXT,
    [FLAGS] = WK_COLUMN_32,
    [VALUE_DOUBLE] = WK_COLUMN_64 | WK_NULLABLE,
    [VALUE_INT] = WK_COLUMN_64 | WK_NULLABLE,
    [COUNT] = WK_COLUMN_64 | WK_NULLABLE,
    [SUM] = WK_COLUMN_64 | WK_NULLABLE,
    [MIN] = WK_COLUMN_64 | WK_NULLABLE,
    [MAX] = WK_COLUMN_64 | WK_NULLABLE,
    [BUCKET_COUNTS] = WK_COLUMN_LIST | WK_NULLABLE,
    [EXPLICIT_BOUNDS] = WK_COLUMN_LIST | WK_NULLABLE,
    [SCALE] = WK_COLUMN_32 | WK_NULLABLE,
    [ZERO_COUNT] = WK_COLUMN_64 | WK_NULLABLE,
    [ZERO_THRESHOLD] = WK_COLUMN_64 | WK_NULLABLE,
    [POSITIVE_OFFSET] = WK_COLUMN_32 | WK_NULLABLE,
    [POSITIVE_BUCKET_COUNTS] = WK_COLUMN_LIST | WK_NULLABLE,
    [NEGATIVE_OFFSET] = WK_COLUMN_32 | WK_NULLABLE,
    [NEGATIVE_BUCKET_COUNTS] = WK_COLUMN_LIST | WK_NULLABLE,
    [QUANTILES] = WK_COLUMN_LIST | WK_NULLABLE,
    [QUANTILE_VALUES] = WK_COLUMN_LIST | WK_NULLABLE,
    [EXEMPLARS] = WK_COLUMN_TEXT,
    [SERIES] = WK_COLUMN_64,
    [HEAD] = WK_COLUMN_32,
};

void wk_metrics_init(wk_request *request) {
    wk_table_init(&request->rows, POINT_KINDS, POINT_COLUMNS);
    wk_table_init(&request->heads, HEAD_KINDS, HEAD_COLUMNS);
    request->record = wk_metric;
}

typedef struct {
    uint64_t time, start, hash;
    uint32_t flags;
} point;

static bool read_point(wk_table *rows, wk_bytes from, const wk_point_kind *kind, point *into) {
    wk_bytes inner;
    uint32_t tag;
    while (from.at < from.end) {
        WK_TRY(wk_read_tag(&from, &tag));
        if (tag == WK_FIXED64(3)) {
            WK_TRY(wk_read_fixed64(&from, &into->time));
        } else if (tag == WK_FIXED64(2)) {
            WK_TRY(wk_read_fixed64(&from, &into->start));
        } else if (tag == kind->attributes) {
            WK_TRY(wk_read_bytes(&from, &inner));
            WK_TRY(wk_write_attribute(wk_data(rows, ATTRIBUTES), inner, &into->hash));
        } else if (tag == kind->exemplars) {
            WK_TRY(wk_read_bytes(&from, &inner) && wk_write_exemplar(wk_data(rows, EXEMPLARS), inner));
        } else if (tag == kind->flags) {
            WK_TRY(wk_read_u32(&from, &into->flags));
        } else {
            WK_TRY(kind->field(rows, &from, tag));
        }
    }
    return true;
}

static bool add_point(wk_request *request, wk_bytes bytes, const wk_point_kind *kind) {
    wk_table *rows = &request->rows;
    wk_buffer *attributes = wk_data(rows, ATTRIBUTES), *exemplars = wk_data(rows, EXEMPLARS);
    point read = {.time = 0};
    WK_TRY(wk_begin_row(rows) && wk_append_byte(attributes, '{') && wk_append_byte(exemplars, '['));
    const size_t opened = attributes->size, exemplars_opened = exemplars->size;
    kind->defaults(rows);
    WK_TRY(read_point(rows, bytes, kind, &read));
    WK_TRY(wk_close(attributes, opened, '}') && wk_close(exemplars, exemplars_opened, ']'));
    WK_TRY(wk_set_time(request, read.time, 0) && read.start <= INT64_MAX);
    wk_set_64(rows, START_TIME, read.start);
    wk_set_32(rows, FLAGS, read.flags);
    wk_set_64(rows, SERIES, read.hash);
    wk_set_32(rows, HEAD, (uint32_t)request->heads.rows);
    return wk_end_row(rows);
}

typedef struct {
    uint32_t tag;
    const char *name;
    const wk_point_kind *points;
    bool temporality, monotonic;
} metric_kind;

static const metric_kind METRIC_KINDS[] = {
    {WK_BYTES(5), "gauge", &WK_NUMBER_POINT, false, false},
    {WK_BYTES(7), "sum", &WK_NUMBER_POINT, true, true},
    {WK_BYTES(9), "histogram", &WK_HISTOGRAM_POINT, true, false},
    {WK_BYTES(10), "exponential_histogram", &WK_EXPONENTIAL_POINT, true, false},
    {WK_BYTES(11), "summary", &WK_SUMMARY_POINT, false, false},
};

typedef struct {
    wk_bytes name, description, unit, data;
    uint32_t temporality;
    uint64_t monotonic;
    const metric_kind *kind;
} metric;

static const metric_kind *find_kind(uint32_t tag) {
    for (size_t i = 0; i < sizeof METRIC_KINDS / sizeof *METRIC_KINDS; i++) {
        if (METRIC_KINDS[i].tag == tag) {
            return &METRIC_KINDS[i];
        }
    }
    return NULL;
}

static bool read_metric(wk_bytes from, metric *into, wk_buffer *metadata) {
    while (from.at < from.end) {
        uint32_t tag;
        wk_bytes inner;
        WK_TRY(wk_read_tag(&from, &tag));
        const metric_kind *kind = find_kind(tag);
        if (kind != NULL) {
            into->kind = kind;
            WK_TRY(wk_read_once(&from, &into->data)); /* other data would take its place */
        } else if (tag == WK_BYTES(1)) {
            WK_TRY(wk_read_text(&from, &into->name));
        } else if (tag == WK_BYTES(2)) {
            WK_TRY(wk_read_text(&from, &into->description));
        } else if (tag == WK_BYTES(3)) {
            WK_TRY(wk_read_text(&from, &into->unit));
        } else if (tag == WK_BYTES(12)) {
            WK_TRY(wk_read_bytes(&from, &inner) && wk_write_attribute(metadata, inner, NULL));
        } else {
            WK_TRY(wk_skip(&from, tag));
        }
    }
    return true;
}

static bool read_data(wk_request *request, metric *of) {
    for (wk_bytes from = of->data; from.at < from.end;) {
        uint32_t tag;
        wk_bytes inner;
        WK_TRY(wk_read_tag(&from, &tag));
        if (tag == WK_BYTES(1)) {
            WK_TRY(wk_read_bytes(&from, &inner) && add_point(request, inner, of->kind->points));
        } else if (of->kind->temporality && tag == WK_VARINT(2)) {
            WK_TRY(wk_read_u32(&from, &of->temporality));
        } else if (of->kind->monotonic && tag == WK_VARINT(3)) {
            WK_TRY(wk_read_varint(&from, &of->monotonic));
        } else {
            WK_TRY(wk_skip(&from, tag));
        }
    }
    return true;
}

static bool add_head(wk_request *request, const metric *read) {
    wk_table *heads = &request->heads;
    const uint8_t *name = (const uint8_t *)read->kind->name;
    const wk_bytes kind = {name, name + strlen(read->kind->name)};
    WK_TRY(wk_set_text(heads, NAME, read->name) && wk_set_text(heads, DESCRIPTION, read->description));
    WK_TRY(wk_set_text(heads, UNIT, read->unit) && wk_set_text(heads, KIND, kind));
    if (read->kind->temporality) {
        wk_set_valid_32(heads, TEMPORALITY, read->temporality);
    }
    if (read->kind->monotonic) {
        wk_set_valid_bit(heads, MONOTONIC, read->monotonic != 0);
    }
    wk_set_64(heads, HEAD_SERIES,
              wk_combine(wk_combine(wk_text_hash(read->name), wk_text_hash(read->unit)), wk_text_hash(kind)));
    wk_set_32(heads, SCOPE, (uint32_t)request->scopes.rows);
    return wk_end_row(heads);
}

/* A metric without points leaves nothing, but is checked. */
bool wk_metric(wk_request *request, wk_bytes bytes) {
    wk_table *heads = &request->heads;
    wk_buffer *metadata = wk_data(heads, METADATA);
    metric read = {.kind = NULL};
    WK_TRY(wk_begin_row(heads));
    const size_t before = metadata->size, rows_before = request->rows.rows;
    WK_TRY(wk_append_byte(metadata, '{'));
    WK_TRY(read_metric(bytes, &read, metadata) && wk_close(metadata, before + 1, '}'));
    if (read.kind != NULL) {
        WK_TRY(read_data(request, &read));
    }
    if (request->rows.rows > rows_before) {
        return add_head(request, &read);
    }
    metadata->size = before;
    return true;
}

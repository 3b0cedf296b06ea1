/* The columns of metric points, shared by otlp_metrics.c and otlp_points.c. */
#ifndef WATCHKEEPER_OTLP_POINTS_H
#define WATCHKEEPER_OTLP_POINTS_H

#include "otlp.h"

enum {
    TIME,
    TIME_SOURCE,
    START_TIME,
    ATTRIBUTES,
    FLAGS,
    VALUE_DOUBLE,
    VALUE_INT,
    COUNT,
    SUM,
    MIN,
    MAX,
    BUCKET_COUNTS,
    EXPLICIT_BOUNDS,
    SCALE,
    ZERO_COUNT,
    ZERO_THRESHOLD,
    POSITIVE_OFFSET,
    POSITIVE_BUCKET_COUNTS,
    NEGATIVE_OFFSET,
    NEGATIVE_BUCKET_COUNTS,
    QUANTILES,
    QUANTILE_VALUES,
    EXEMPLARS,
    SERIES,
    HEAD,
    POINT_COLUMNS
};

/* One field of a point that is of the point's own kind; `tag` has been read. */
typedef bool wk_point_field(wk_table *rows, wk_bytes *from, uint32_t tag);

/* How a kind of point numbers what all kinds have, and who reads the rest. Nothing has tag 0. */
typedef struct {
    uint32_t attributes, exemplars, flags;
    wk_point_field *field;
    void (*defaults)(wk_table *rows); /* sets what is there even when not sent */
} wk_point_kind;

extern const wk_point_kind WK_NUMBER_POINT, WK_HISTOGRAM_POINT, WK_EXPONENTIAL_POINT, WK_SUMMARY_POINT;

bool wk_write_exemplar(wk_buffer *out, wk_bytes bytes);

#endif

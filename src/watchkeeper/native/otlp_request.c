/* The frame that the three requests share: resources, in them scopes, in them records; and the library's one function.
 *
 * Logs, metrics and traces number these fields alike: 1 the resource or scope, 2 what it holds, 3 its schema's URL. */
#include <stdlib.h>

#include "otlp.h"
#include "otlp_arrow.h"

enum { RESOURCE_ATTRIBUTES, RESOURCE_DROPPED, RESOURCE_SCHEMA_URL, RESOURCE_COLUMNS };

static const uint8_t RESOURCE_KINDS[RESOURCE_COLUMNS] = {
    [RESOURCE_ATTRIBUTES] = WK_COLUMN_TEXT,
    [RESOURCE_DROPPED] = WK_COLUMN_32,
    [RESOURCE_SCHEMA_URL] = WK_COLUMN_TEXT,
};

enum { NAME, VERSION, SCOPE_ATTRIBUTES, SCOPE_DROPPED, SCOPE_SCHEMA_URL, SERIES, OF_RESOURCE, SCOPE_COLUMNS };

static const uint8_t SCOPE_KINDS[SCOPE_COLUMNS] = {
    [NAME] = WK_COLUMN_TEXT,        [VERSION] = WK_COLUMN_TEXT,          [SCOPE_ATTRIBUTES] = WK_COLUMN_TEXT,
    [SCOPE_DROPPED] = WK_COLUMN_32, [SCOPE_SCHEMA_URL] = WK_COLUMN_TEXT, [SERIES] = WK_COLUMN_64,
    [OF_RESOURCE] = WK_COLUMN_32,
};

/* A resource or a scope, with the schema URL that stands beside it. Unsent texts are empty. */
typedef struct {
    wk_buffer attributes;
    uint64_t hash;
    uint32_t dropped;
    wk_bytes name, version, schema_url;
} source;

typedef struct {
    uint32_t attributes, dropped;
    bool scope;
} source_fields;

static const source_fields FIELDS_OF_RESOURCE = {WK_BYTES(1), WK_VARINT(2), false};
static const source_fields FIELDS_OF_SCOPE = {WK_BYTES(3), WK_VARINT(4), true};

/* An EntityRef is texts only; they are not kept, but must be text. */
static bool check_entity_ref(wk_bytes bytes) {
    while (bytes.at < bytes.end) {
        uint32_t tag;
        wk_bytes text;
        WK_TRY(wk_read_tag(&bytes, &tag));
        WK_TRY((tag & 7) == 2 ? wk_read_text(&bytes, &text) : wk_skip(&bytes, tag));
    }
    return true;
}

static bool read_source(wk_bytes bytes, const source_fields *fields, source *into) {
    WK_TRY(wk_append_byte(&into->attributes, '{'));
    while (bytes.at < bytes.end) {
        uint32_t tag;
        wk_bytes inner;
        WK_TRY(wk_read_tag(&bytes, &tag));
        if (tag == fields->attributes) {
            WK_TRY(wk_read_bytes(&bytes, &inner) && wk_write_attribute(&into->attributes, inner, &into->hash));
        } else if (tag == fields->dropped) {
            WK_TRY(wk_read_u32(&bytes, &into->dropped));
        } else if (fields->scope && tag == WK_BYTES(1)) {
            WK_TRY(wk_read_text(&bytes, &into->name));
        } else if (fields->scope && tag == WK_BYTES(2)) {
            WK_TRY(wk_read_text(&bytes, &into->version));
        } else if (!fields->scope && tag == WK_BYTES(3)) {
            WK_TRY(wk_read_bytes(&bytes, &inner) && check_entity_ref(inner));
        } else {
            WK_TRY(wk_skip(&bytes, tag));
        }
    }
    return wk_close(&into->attributes, 1, '}');
}

static bool add_resource(wk_table *resources, const source *resource) {
    WK_TRY(wk_begin_row(resources));
    WK_TRY(wk_append(wk_data(resources, RESOURCE_ATTRIBUTES), resource->attributes.data, resource->attributes.size));
    wk_set_32(resources, RESOURCE_DROPPED, resource->dropped);
    return wk_set_text(resources, RESOURCE_SCHEMA_URL, resource->schema_url) && wk_end_row(resources);
}

static bool add_scope(wk_request *request, const source *resource, const source *scope) {
    wk_table *scopes = &request->scopes;
    WK_TRY(wk_begin_row(scopes));
    WK_TRY(wk_append(wk_data(scopes, SCOPE_ATTRIBUTES), scope->attributes.data, scope->attributes.size));
    WK_TRY(wk_set_text(scopes, NAME, scope->name) && wk_set_text(scopes, VERSION, scope->version));
    WK_TRY(wk_set_text(scopes, SCOPE_SCHEMA_URL, scope->schema_url));
    wk_set_32(scopes, SCOPE_DROPPED, scope->dropped);
    wk_set_64(scopes, SERIES,
              wk_combine(wk_combine(resource->hash, wk_text_hash(scope->name)), wk_text_hash(scope->version)));
    wk_set_32(scopes, OF_RESOURCE, (uint32_t)request->resources.rows);
    return wk_end_row(scopes);
}

/* Reads the fields of a group but for what it holds, which may come before them. */
static bool read_frame(wk_bytes bytes, const source_fields *fields, source *into) {
    wk_bytes of_source = {NULL, NULL}, inner;
    while (bytes.at < bytes.end) {
        uint32_t tag;
        WK_TRY(wk_read_tag(&bytes, &tag));
        if (tag == WK_BYTES(2)) {
            WK_TRY(wk_read_bytes(&bytes, &inner));
        } else if (tag == WK_BYTES(1)) {
            WK_TRY(wk_read_once(&bytes, &of_source));
        } else if (tag == WK_BYTES(3)) {
            WK_TRY(wk_read_text(&bytes, &into->schema_url));
        } else {
            WK_TRY(wk_skip(&bytes, tag));
        }
    }
    return read_source(of_source, fields, into);
}

static bool read_records(wk_request *request, wk_bytes bytes, const source *resource, const source *scope) {
    const size_t rows_before = request->rows.rows;
    while (bytes.at < bytes.end) {
        uint32_t tag;
        wk_bytes inner;
        WK_TRY(wk_read_tag(&bytes, &tag));
        if (tag == WK_BYTES(2)) {
            WK_TRY(wk_read_bytes(&bytes, &inner) && request->record(request, inner));
        } else {
            WK_TRY(wk_skip(&bytes, tag));
        }
    }
    return request->rows.rows == rows_before || add_scope(request, resource, scope);
}

static bool read_scope(wk_request *request, wk_bytes bytes, const source *resource) {
    source scope = {.hash = 0};
    const bool sure = read_frame(bytes, &FIELDS_OF_SCOPE, &scope) && read_records(request, bytes, resource, &scope);
    free(scope.attributes.data);
    return sure;
}

static bool read_scopes(wk_request *request, wk_bytes bytes, const source *resource) {
    const size_t rows_before = request->rows.rows;
    while (bytes.at < bytes.end) {
        uint32_t tag;
        wk_bytes inner;
        WK_TRY(wk_read_tag(&bytes, &tag));
        if (tag == WK_BYTES(2)) {
            WK_TRY(wk_read_bytes(&bytes, &inner) && read_scope(request, inner, resource));
        } else {
            WK_TRY(wk_skip(&bytes, tag));
        }
    }
    return request->rows.rows == rows_before || add_resource(&request->resources, resource);
}

static bool read_resource(wk_request *request, wk_bytes bytes) {
    source resource = {.hash = 0};
    const bool sure = read_frame(bytes, &FIELDS_OF_RESOURCE, &resource) && read_scopes(request, bytes, &resource);
    free(resource.attributes.data);
    return sure;
}

static bool read_request(wk_request *request, wk_bytes bytes) {
    while (bytes.at < bytes.end) {
        uint32_t tag;
        wk_bytes inner;
        WK_TRY(wk_read_tag(&bytes, &tag));
        if (tag == WK_BYTES(1)) {
            WK_TRY(wk_read_bytes(&bytes, &inner) && read_resource(request, inner));
        } else {
            WK_TRY(wk_skip(&bytes, tag));
        }
    }
    return true;
}

bool wk_set_time(wk_request *request, uint64_t event, uint64_t observed) {
    WK_TRY(event <= INT64_MAX && observed <= INT64_MAX); /* a record to be rejected */
    const uint64_t time = event != 0 ? event : observed != 0 ? observed : (uint64_t)request->received_unix_ns;
    wk_set_64(&request->rows, 0, time);
    wk_set_u8(&request->rows, 1, event != 0 ? 0 : observed != 0 ? 1 : 2);
    return true;
}

static bool export_tables(wk_request *request, struct ArrowArray arrays[4]) {
    wk_table *tables[4] = {&request->rows, &request->scopes, &request->resources, &request->heads};
    for (int i = 0; i < 4; i++) {
        if (!wk_table_export(tables[i], &arrays[i])) {
            while (i-- > 0) {
                arrays[i].release(&arrays[i]);
            }
            return false;
        }
    }
    return true;
}

/* Decodes a request; signal: 0 logs, 1 metrics, 2 spans. arrays: the rows, scopes, resources and heads of otlp_tables.py, which
 * the caller is to release. Gives 1, or 0 when not sure; then there is nothing to release. */
__attribute__((visibility("default"))) int32_t wk_otlp_read(int32_t signal, const uint8_t *payload, int64_t size,
                                                            int64_t received_unix_ns, struct ArrowArray arrays[4]) {
    static void (*const INIT[])(wk_request *) = {wk_logs_init, wk_metrics_init, wk_spans_init};
    const uint16_t probe = 1;
    const bool little_endian = *(const uint8_t *)&probe == 1;
    if (!little_endian || signal < 0 || signal > 2 || size < 0 || size > INT32_MAX / 8) {
        return 0;
    }
    wk_request request = {.received_unix_ns = received_unix_ns};
    INIT[signal](&request);
    wk_table_init(&request.scopes, SCOPE_KINDS, SCOPE_COLUMNS);
    wk_table_init(&request.resources, RESOURCE_KINDS, RESOURCE_COLUMNS);
    const bool sure = read_request(&request, (wk_bytes){payload, payload + size}) && export_tables(&request, arrays);
    wk_table_free(&request.rows);
    wk_table_free(&request.scopes);
    wk_table_free(&request.resources);
    wk_table_free(&request.heads);
    return sure;
}

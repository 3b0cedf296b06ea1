/* LogRecord to a row of logs. */
#include "otlp.h"

enum {
    TIME,
    TIME_SOURCE,
    OBSERVED_TIME,
    SEVERITY_NUMBER,
    SEVERITY_TEXT,
    BODY,
    BODY_TYPE,
    ATTRIBUTES,
    DROPPED,
    FLAGS,
    TRACE_ID,
    SPAN_ID,
    EVENT_NAME,
    SCOPE,
    COLUMNS
};

static const uint8_t KINDS[COLUMNS] = {
    [TIME] = WK_COLUMN_64,          [TIME_SOURCE] = WK_COLUMN_U8,     [OBSERVED_TIME] = WK_COLUMN_64,
    [SEVERITY_NUMBER] = WK_COLUMN_32, [SEVERITY_TEXT] = WK_COLUMN_TEXT, [BODY] = WK_COLUMN_TEXT,
    [BODY_TYPE] = WK_COLUMN_U8,     [ATTRIBUTES] = WK_COLUMN_TEXT,    [DROPPED] = WK_COLUMN_32,
    [FLAGS] = WK_COLUMN_32,         [TRACE_ID] = WK_COLUMN_TEXT,      [SPAN_ID] = WK_COLUMN_TEXT,
    [EVENT_NAME] = WK_COLUMN_TEXT,  [SCOPE] = WK_COLUMN_32,
};

void wk_logs_init(wk_request *request) {
    wk_table_init(&request->rows, KINDS, COLUMNS);
    request->record = wk_log_record;
}

typedef struct {
    uint64_t time, observed;
    uint32_t severity_number, dropped, flags;
    wk_bytes severity_text, body, trace_id, span_id, event_name;
} log_record;

/* Reads all fields; attributes are written at once, for there may be many. */
static bool read_fields(wk_bytes from, log_record *record, wk_buffer *attributes) {
    wk_bytes inner;
    uint32_t tag;
    while (from.at < from.end) {
        WK_TRY(wk_read_tag(&from, &tag));
        switch (tag) {
            case WK_FIXED64(1):
                WK_TRY(wk_read_fixed64(&from, &record->time));
                break;
            case WK_FIXED64(11):
                WK_TRY(wk_read_fixed64(&from, &record->observed));
                break;
            case WK_VARINT(2):
                WK_TRY(wk_read_u32(&from, &record->severity_number));
                break;
            case WK_BYTES(3):
                WK_TRY(wk_read_text(&from, &record->severity_text));
                break;
            case WK_BYTES(5):
                WK_TRY(wk_read_once(&from, &record->body));
                break;
            case WK_BYTES(6):
                WK_TRY(wk_read_bytes(&from, &inner) && wk_write_attribute(attributes, inner, NULL));
                break;
            case WK_VARINT(7):
                WK_TRY(wk_read_u32(&from, &record->dropped));
                break;
            case WK_FIXED32(8):
                WK_TRY(wk_read_fixed32(&from, &record->flags));
                break;
            case WK_BYTES(9):
                WK_TRY(wk_read_bytes(&from, &record->trace_id));
                break;
            case WK_BYTES(10):
                WK_TRY(wk_read_bytes(&from, &record->span_id));
                break;
            case WK_BYTES(12):
                WK_TRY(wk_read_text(&from, &record->event_name));
                break;
            default:
                WK_TRY(wk_skip(&from, tag));
        }
    }
    return true;
}

static bool set_body(wk_table *rows, wk_bytes bytes) {
    wk_value body;
    WK_TRY(wk_read_value(bytes, &body));
    wk_set_u8(rows, BODY_TYPE, (uint8_t)body.kind);
    switch (body.kind) {
        case WK_VALUE_EMPTY:
            return true;
        case WK_VALUE_STRING:
            return wk_is_utf8(body.bytes) && wk_set_text(rows, BODY, body.bytes);
        default:
            return wk_write_value(wk_data(rows, BODY), &body, 0);
    }
}

bool wk_log_record(wk_request *request, wk_bytes bytes) {
    wk_table *rows = &request->rows;
    log_record record = {.time = 0};
    wk_buffer *attributes = wk_data(rows, ATTRIBUTES);
    WK_TRY(wk_begin_row(rows) && wk_append_byte(attributes, '{'));
    const size_t opened = attributes->size;
    WK_TRY(read_fields(bytes, &record, attributes) && wk_close(attributes, opened, '}'));
    WK_TRY(wk_set_time(request, record.time, record.observed));
    wk_set_64(rows, OBSERVED_TIME, record.observed);
    wk_set_32(rows, SEVERITY_NUMBER, record.severity_number);
    wk_set_32(rows, DROPPED, record.dropped);
    wk_set_32(rows, FLAGS, record.flags);
    wk_set_32(rows, SCOPE, (uint32_t)request->scopes.rows);
    WK_TRY(set_body(rows, record.body) && wk_set_text(rows, SEVERITY_TEXT, record.severity_text));
    WK_TRY(wk_set_text(rows, EVENT_NAME, record.event_name));
    WK_TRY(wk_write_hex(wk_data(rows, TRACE_ID), record.trace_id));
    return wk_write_hex(wk_data(rows, SPAN_ID), record.span_id) && wk_end_row(rows);
}

/* Span to a row of spans, with its events and links as JSON arrays. */
#include "otlp.h"

enum {
    TIME,
    TIME_SOURCE,
    END_TIME,
    DURATION,
    TRACE_ID,
    SPAN_ID,
    PARENT_SPAN_ID,
    TRACE_STATE,
    FLAGS,
    NAME,
    KIND,
    ATTRIBUTES,
    DROPPED,
    EVENTS,
    DROPPED_EVENTS,
    LINKS,
    DROPPED_LINKS,
    STATUS_CODE,
    STATUS_MESSAGE,
    SCOPE,
    COLUMNS
};

static const uint8_t KINDS[COLUMNS] = {
    [TIME] = WK_COLUMN_64,           [TIME_SOURCE] = WK_COLUMN_U8,    [END_TIME] = WK_COLUMN_64,
    [DURATION] = WK_COLUMN_64,       [TRACE_ID] = WK_COLUMN_TEXT,     [SPAN_ID] = WK_COLUMN_TEXT,
    [PARENT_SPAN_ID] = WK_COLUMN_TEXT, [TRACE_STATE] = WK_COLUMN_TEXT, [FLAGS] = WK_COLUMN_32,
    [NAME] = WK_COLUMN_TEXT,         [KIND] = WK_COLUMN_32,           [ATTRIBUTES] = WK_COLUMN_TEXT,
    [DROPPED] = WK_COLUMN_32,        [EVENTS] = WK_COLUMN_TEXT,       [DROPPED_EVENTS] = WK_COLUMN_32,
    [LINKS] = WK_COLUMN_TEXT,        [DROPPED_LINKS] = WK_COLUMN_32,  [STATUS_CODE] = WK_COLUMN_32,
    [STATUS_MESSAGE] = WK_COLUMN_TEXT, [SCOPE] = WK_COLUMN_32,
};

void wk_spans_init(wk_request *request) {
    wk_table_init(&request->rows, KINDS, COLUMNS);
    request->record = wk_span;
}

typedef struct {
    uint64_t start, end;
    uint32_t flags, kind, dropped, dropped_events, dropped_links, status_code;
    wk_bytes trace_id, span_id, parent_span_id, trace_state, name, status, status_message;
} span;

typedef struct {
    uint64_t time;
    uint32_t dropped, flags;
    wk_bytes name, trace_id, span_id, trace_state;
} attached;

/* Writes the attributes among the fields of an event or a link, as a member of it. */
static bool write_attributes(wk_buffer *out, wk_bytes from, uint32_t wanted) {
    WK_TRY(WK_APPEND_WORD(out, "\"attributes\":{"));
    const size_t opened = out->size;
    while (from.at < from.end) {
        uint32_t tag;
        wk_bytes pair;
        WK_TRY(wk_read_tag(&from, &tag));
        if (tag == wanted) {
            WK_TRY(wk_read_bytes(&from, &pair) && wk_write_attribute(out, pair, NULL));
        } else {
            WK_TRY(wk_skip(&from, tag));
        }
    }
    return wk_close(out, opened, '}');
}

static bool write_event(wk_buffer *out, wk_bytes bytes) {
    attached event = {.time = 0};
    for (wk_bytes from = bytes; from.at < from.end;) {
        uint32_t tag;
        WK_TRY(wk_read_tag(&from, &tag));
        switch (tag) {
            case WK_FIXED64(1):
                WK_TRY(wk_read_fixed64(&from, &event.time));
                break;
            case WK_BYTES(2):
                WK_TRY(wk_read_text(&from, &event.name));
                break;
            case WK_VARINT(4):
                WK_TRY(wk_read_u32(&from, &event.dropped));
                break;
            default:
                WK_TRY(wk_skip(&from, tag));
        }
    }
    return WK_APPEND_WORD(out, "{\"time_unix_nano\":") && wk_write_u64(out, event.time) &&
           WK_APPEND_WORD(out, ",\"name\":") && wk_write_string(out, event.name) && wk_append_byte(out, ',') &&
           write_attributes(out, bytes, WK_BYTES(3)) && WK_APPEND_WORD(out, ",\"dropped_attributes_count\":") &&
           wk_write_u64(out, event.dropped) && WK_APPEND_WORD(out, "},");
}

static bool write_link(wk_buffer *out, wk_bytes bytes) {
    attached link = {.time = 0};
    for (wk_bytes from = bytes; from.at < from.end;) {
        uint32_t tag;
        WK_TRY(wk_read_tag(&from, &tag));
        switch (tag) {
            case WK_BYTES(1):
                WK_TRY(wk_read_bytes(&from, &link.trace_id));
                break;
            case WK_BYTES(2):
                WK_TRY(wk_read_bytes(&from, &link.span_id));
                break;
            case WK_BYTES(3):
                WK_TRY(wk_read_text(&from, &link.trace_state));
                break;
            case WK_VARINT(5):
                WK_TRY(wk_read_u32(&from, &link.dropped));
                break;
            case WK_FIXED32(6):
                WK_TRY(wk_read_fixed32(&from, &link.flags));
                break;
            default:
                WK_TRY(wk_skip(&from, tag));
        }
    }
    return WK_APPEND_WORD(out, "{\"trace_id\":\"") && wk_write_hex(out, link.trace_id) &&
           WK_APPEND_WORD(out, "\",\"span_id\":\"") && wk_write_hex(out, link.span_id) &&
           WK_APPEND_WORD(out, "\",\"trace_state\":") && wk_write_string(out, link.trace_state) &&
           wk_append_byte(out, ',') && write_attributes(out, bytes, WK_BYTES(4)) &&
           WK_APPEND_WORD(out, ",\"dropped_attributes_count\":") && wk_write_u64(out, link.dropped) &&
           WK_APPEND_WORD(out, ",\"flags\":") && wk_write_u64(out, link.flags) && WK_APPEND_WORD(out, "},");
}

static bool read_status(span *into) {
    for (wk_bytes from = into->status; from.at < from.end;) {
        uint32_t tag;
        WK_TRY(wk_read_tag(&from, &tag));
        if (tag == WK_BYTES(2)) {
            WK_TRY(wk_read_text(&from, &into->status_message));
        } else if (tag == WK_VARINT(3)) {
            WK_TRY(wk_read_u32(&from, &into->status_code));
        } else {
            WK_TRY(wk_skip(&from, tag));
        }
    }
    return true;
}

/* Reads a field that may come many times, and writes it at once. */
static bool read_repeated(wk_bytes *from, uint32_t tag, wk_table *rows) {
    wk_bytes inner;
    WK_TRY(wk_read_bytes(from, &inner));
    switch (tag) {
        case WK_BYTES(9):
            return wk_write_attribute(wk_data(rows, ATTRIBUTES), inner, NULL);
        case WK_BYTES(11):
            return write_event(wk_data(rows, EVENTS), inner);
        default:
            return write_link(wk_data(rows, LINKS), inner);
    }
}

static bool read_fields(wk_bytes from, span *into, wk_table *rows) {
    uint32_t tag;
    while (from.at < from.end) {
        WK_TRY(wk_read_tag(&from, &tag));
        switch (tag) {
            case WK_BYTES(1):
                WK_TRY(wk_read_bytes(&from, &into->trace_id));
                break;
            case WK_BYTES(2):
                WK_TRY(wk_read_bytes(&from, &into->span_id));
                break;
            case WK_BYTES(3):
                WK_TRY(wk_read_text(&from, &into->trace_state));
                break;
            case WK_BYTES(4):
                WK_TRY(wk_read_bytes(&from, &into->parent_span_id));
                break;
            case WK_FIXED32(16):
                WK_TRY(wk_read_fixed32(&from, &into->flags));
                break;
            case WK_BYTES(5):
                WK_TRY(wk_read_text(&from, &into->name));
                break;
            case WK_VARINT(6):
                WK_TRY(wk_read_u32(&from, &into->kind));
                break;
            case WK_FIXED64(7):
                WK_TRY(wk_read_fixed64(&from, &into->start));
                break;
            case WK_FIXED64(8):
                WK_TRY(wk_read_fixed64(&from, &into->end));
                break;
            case WK_BYTES(9):
            case WK_BYTES(11):
            case WK_BYTES(13):
                WK_TRY(read_repeated(&from, tag, rows));
                break;
            case WK_VARINT(10):
                WK_TRY(wk_read_u32(&from, &into->dropped));
                break;
            case WK_VARINT(12):
                WK_TRY(wk_read_u32(&from, &into->dropped_events));
                break;
            case WK_VARINT(14):
                WK_TRY(wk_read_u32(&from, &into->dropped_links));
                break;
            case WK_BYTES(15):
                WK_TRY(wk_read_once(&from, &into->status));
                break;
            default:
                WK_TRY(wk_skip(&from, tag));
        }
    }
    return read_status(into);
}

static bool set_texts(wk_table *rows, const span *from) {
    return wk_write_hex(wk_data(rows, TRACE_ID), from->trace_id) && wk_write_hex(wk_data(rows, SPAN_ID), from->span_id) &&
           wk_write_hex(wk_data(rows, PARENT_SPAN_ID), from->parent_span_id) &&
           wk_set_text(rows, TRACE_STATE, from->trace_state) && wk_set_text(rows, NAME, from->name) &&
           wk_set_text(rows, STATUS_MESSAGE, from->status_message);
}

bool wk_span(wk_request *request, wk_bytes bytes) {
    wk_table *rows = &request->rows;
    wk_buffer *attributes = wk_data(rows, ATTRIBUTES), *events = wk_data(rows, EVENTS), *links = wk_data(rows, LINKS);
    span read = {.start = 0};
    WK_TRY(wk_begin_row(rows));
    WK_TRY(wk_append_byte(attributes, '{') && wk_append_byte(events, '[') && wk_append_byte(links, '['));
    const size_t opened = attributes->size, events_opened = events->size, links_opened = links->size;
    WK_TRY(read_fields(bytes, &read, rows));
    WK_TRY(wk_close(attributes, opened, '}') && wk_close(events, events_opened, ']') && wk_close(links, links_opened, ']'));
    WK_TRY(wk_set_time(request, read.start, 0) && read.end <= INT64_MAX);
    wk_set_64(rows, END_TIME, read.end);
    wk_set_64(rows, DURATION, read.start != 0 && read.end > read.start ? read.end - read.start : 0);
    wk_set_32(rows, FLAGS, read.flags);
    wk_set_32(rows, KIND, read.kind);
    wk_set_32(rows, DROPPED, read.dropped);
    wk_set_32(rows, DROPPED_EVENTS, read.dropped_events);
    wk_set_32(rows, DROPPED_LINKS, read.dropped_links);
    wk_set_32(rows, STATUS_CODE, read.status_code);
    wk_set_32(rows, SCOPE, (uint32_t)request->scopes.rows);
    return set_texts(rows, &read) && wk_end_row(rows);
}

/* AnyValue and attributes as JSON text, as signals/any_value.py writes them, and their hashes, as otlp_series.py.
 *
 * Text that is written has been checked to be UTF-8; so what is written is UTF-8 too. */
#include "otlp.h"

/* Each level of AnyValue is at most three messages to protobuf, whose own limit is 100 messages. */
#define DEPTH_MAX 28

static const char HEX[] = "0123456789abcdef";

bool wk_write_hex(wk_buffer *out, wk_bytes bytes) {
    const size_t size = wk_left(&bytes);
    WK_TRY(wk_reserve(out, size * 2));
    for (size_t i = 0; i < size; i++) {
        out->data[out->size++] = (uint8_t)HEX[bytes.at[i] >> 4];
        out->data[out->size++] = (uint8_t)HEX[bytes.at[i] & 15];
    }
    return true;
}

/* For each of eight bytes, whether JSON needs it escaped or UTF-8 needs it looked at: the top bit of the byte. It may be
 * set for a byte after one that is rightly set. */
static uint64_t to_look_at(uint64_t eight) {
    const uint64_t ones = 0x0101010101010101u;
    const uint64_t tops = ones * 0x80;
    const uint64_t quote = eight ^ ones * '"';
    const uint64_t backslash = eight ^ ones * '\\';
    const uint64_t control = (eight - ones * 0x20) & ~eight;
    return (eight | control | ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash)) & tops;
}

/* Gives the end of what can be copied as it is; NULL when the text is no UTF-8. */
static const uint8_t *plain_run(const uint8_t *at, const uint8_t *end) {
    while (at < end) {
        uint64_t eight;
        if (end - at >= 8) {
            memcpy(&eight, at, 8);
            if (to_look_at(eight) == 0) {
                at += 8;
                continue;
            }
        }
        if (*at >= 0x80) {
            const size_t length = wk_utf8_sequence(at, end);
            if (length == 0) {
                return NULL;
            }
            at += length;
        } else if (*at < 0x20 || *at == '"' || *at == '\\') {
            return at;
        } else {
            at++;
        }
    }
    return at;
}

static size_t escape(uint8_t byte, uint8_t *out) {
    static const char NAMED[] = "\b\t\n\f\r\"\\";
    static const char LETTERS[] = "btnfr\"\\";
    const char *named = memchr(NAMED, byte, sizeof NAMED - 1);
    out[0] = '\\';
    if (named != NULL) {
        out[1] = (uint8_t)LETTERS[named - NAMED];
        return 2;
    }
    out[1] = 'u';
    out[2] = out[3] = '0';
    out[4] = (uint8_t)HEX[byte >> 4];
    out[5] = (uint8_t)HEX[byte & 15];
    return 6;
}

static bool write_escaped(wk_buffer *out, wk_bytes text) {
    while (text.at < text.end) {
        const uint8_t *stop = plain_run(text.at, text.end);
        WK_TRY(stop != NULL && wk_append(out, text.at, (size_t)(stop - text.at)));
        text.at = stop;
        if (stop < text.end) {
            WK_TRY(wk_reserve(out, 6));
            out->size += escape(*stop, out->data + out->size);
            text.at++;
        }
    }
    return true;
}

bool wk_write_string(wk_buffer *out, wk_bytes text) {
    WK_TRY(wk_reserve(out, wk_left(&text) + 2));
    return wk_append_byte(out, '"') && write_escaped(out, text) && wk_append_byte(out, '"');
}

static bool write_key(wk_buffer *out, wk_bytes key) {
    WK_TRY(wk_reserve(out, wk_left(&key) + 3));
    const bool dollar = wk_left(&key) > 0 && *key.at == '$';
    WK_TRY(dollar ? WK_APPEND_WORD(out, "\"$") : wk_append_byte(out, '"'));
    return write_escaped(out, key) && WK_APPEND_WORD(out, "\":");
}

static bool write_base64(wk_buffer *out, wk_bytes bytes) {
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    WK_TRY(WK_APPEND_WORD(out, "{\"$bytes\":\""));
    WK_TRY(wk_reserve(out, wk_left(&bytes) / 3 * 4 + 4));
    while (bytes.at < bytes.end) {
        const size_t left = wk_left(&bytes);
        const uint32_t three = (uint32_t)bytes.at[0] << 16 | (left > 1 ? (uint32_t)bytes.at[1] << 8 : 0) |
                               (left > 2 ? (uint32_t)bytes.at[2] : 0);
        out->data[out->size++] = (uint8_t)DIGITS[three >> 18];
        out->data[out->size++] = (uint8_t)DIGITS[three >> 12 & 63];
        out->data[out->size++] = (uint8_t)(left > 1 ? DIGITS[three >> 6 & 63] : '=');
        out->data[out->size++] = (uint8_t)(left > 2 ? DIGITS[three & 63] : '=');
        bytes.at += left < 3 ? left : 3;
    }
    return WK_APPEND_WORD(out, "\"}");
}

bool wk_read_value(wk_bytes bytes, wk_value *value) {
    value->kind = WK_VALUE_EMPTY;
    while (bytes.at < bytes.end) {
        uint32_t tag;
        WK_TRY(wk_read_tag(&bytes, &tag));
        wk_value_kind kind;
        switch (tag) {
            case WK_BYTES(1):
                kind = WK_VALUE_STRING;
                WK_TRY(wk_read_bytes(&bytes, &value->bytes));
                break;
            case WK_VARINT(2):
                kind = WK_VALUE_BOOL;
                WK_TRY(wk_read_varint(&bytes, &value->number));
                break;
            case WK_VARINT(3):
                kind = WK_VALUE_INT;
                WK_TRY(wk_read_varint(&bytes, &value->number));
                break;
            case WK_FIXED64(4):
                kind = WK_VALUE_DOUBLE;
                WK_TRY(wk_read_fixed64(&bytes, &value->number));
                break;
            case WK_BYTES(5):
                kind = WK_VALUE_ARRAY;
                WK_TRY(wk_read_bytes(&bytes, &value->bytes));
                break;
            case WK_BYTES(6):
                kind = WK_VALUE_MAP;
                WK_TRY(wk_read_bytes(&bytes, &value->bytes));
                break;
            case WK_BYTES(7):
                kind = WK_VALUE_BYTES;
                WK_TRY(wk_read_bytes(&bytes, &value->bytes));
                break;
            case WK_VARINT(8):
                return false; /* an index into the strings of a profile; only newer versions of OTLP know it */
            default:
                WK_TRY(wk_skip(&bytes, tag));
                continue;
        }
        /* A second value takes the place of the first, or is merged into it. */
        WK_TRY(value->kind == WK_VALUE_EMPTY);
        value->kind = kind;
    }
    return true;
}

static bool write_pair(wk_buffer *out, wk_bytes pair, int depth) {
    wk_bytes key = {NULL, NULL}, inner = {NULL, NULL};
    while (pair.at < pair.end) {
        uint32_t tag;
        WK_TRY(wk_read_tag(&pair, &tag));
        if (tag == WK_BYTES(1)) {
            WK_TRY(wk_read_once(&pair, &key));
        } else if (tag == WK_BYTES(2)) {
            WK_TRY(wk_read_once(&pair, &inner));
        } else {
            WK_TRY(wk_skip(&pair, tag));
        }
    }
    wk_value value;
    return write_key(out, key) && wk_read_value(inner, &value) && wk_write_value(out, &value, depth) &&
           wk_append_byte(out, ',');
}

/* Writes the fields numbered 1 of an ArrayValue or a KeyValueList. */
static bool write_members(wk_buffer *out, const wk_value *outer, int depth) {
    const bool map = outer->kind == WK_VALUE_MAP;
    WK_TRY(wk_append_byte(out, map ? '{' : '['));
    const size_t opened = out->size;
    wk_bytes bytes = outer->bytes;
    while (bytes.at < bytes.end) {
        uint32_t tag;
        wk_bytes member;
        WK_TRY(wk_read_tag(&bytes, &tag));
        if (tag != WK_BYTES(1)) {
            WK_TRY(wk_skip(&bytes, tag));
            continue;
        }
        WK_TRY(wk_read_bytes(&bytes, &member));
        if (map) {
            WK_TRY(write_pair(out, member, depth + 1));
        } else {
            wk_value value;
            WK_TRY(wk_read_value(member, &value) && wk_write_value(out, &value, depth + 1));
            WK_TRY(wk_append_byte(out, ','));
        }
    }
    return wk_close(out, opened, map ? '}' : ']');
}

bool wk_write_value(wk_buffer *out, const wk_value *value, int depth) {
    WK_TRY(depth <= DEPTH_MAX);
    switch (value->kind) {
        case WK_VALUE_STRING:
            return wk_write_string(out, value->bytes);
        case WK_VALUE_BOOL:
            return value->number != 0 ? WK_APPEND_WORD(out, "true") : WK_APPEND_WORD(out, "false");
        case WK_VALUE_INT:
            return wk_write_i64(out, (int64_t)value->number);
        case WK_VALUE_DOUBLE:
            return wk_write_double(out, value->number);
        case WK_VALUE_BYTES:
            return write_base64(out, value->bytes);
        case WK_VALUE_ARRAY:
        case WK_VALUE_MAP:
            return write_members(out, value, depth);
        default:
            return WK_APPEND_WORD(out, "null");
    }
}

bool wk_close(wk_buffer *out, size_t opened, char closing) {
    if (out->size == opened) {
        return wk_append_byte(out, closing);
    }
    out->data[out->size - 1] = (uint8_t)closing;
    return true;
}

uint64_t wk_text_hash(wk_bytes text) {
    uint64_t state = 0xcbf29ce484222325u;
    for (; text.at < text.end; text.at++) {
        state = (state ^ *text.at) * 0x100000001b3u;
    }
    return state;
}

static uint64_t mix(uint64_t number) {
    number = (number ^ number >> 30) * 0xbf58476d1ce4e5b9u;
    number = (number ^ number >> 27) * 0x94d049bb133111ebu;
    return number ^ number >> 31;
}

uint64_t wk_combine(uint64_t first, uint64_t second) { return mix(first * 0x9e3779b97f4a7c15u + second); }

bool wk_write_attribute(wk_buffer *out, wk_bytes pair, uint64_t *hash) {
    const size_t begun = out->size;
    WK_TRY(write_pair(out, pair, 0));
    if (hash != NULL) {
        *hash += mix(wk_text_hash((wk_bytes){out->data + begun, out->data + out->size - 1}));
    }
    return true;
}

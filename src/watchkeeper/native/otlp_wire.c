/* The rarer parts of reading protobuf's wire format: long numbers, fields to be skipped, text that is not ASCII. */
#include "otlp.h"

bool wk_read_long_varint(wk_bytes *from, uint64_t *value) {
    uint64_t sum = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        WK_TRY(from->at < from->end);
        const uint8_t byte = *from->at++;
        sum |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = sum;
            /* An overlong number, or one of more than 64 bits: protobuf has its own opinion on each. */
            return byte != 0 && (shift < 63 || byte == 1);
        }
    }
    return false;
}

bool wk_skip(wk_bytes *from, uint32_t tag) {
    uint64_t number;
    uint32_t word;
    wk_bytes inner;
    switch (tag & 7) {
        case 0:
            return wk_read_varint(from, &number);
        case 1:
            return wk_read_fixed64(from, &number);
        case 2:
            return wk_read_bytes(from, &inner);
        case 5:
            return wk_read_fixed32(from, &word);
        default:
            return false; /* groups, and wire types that there are not */
    }
}

static bool continues(uint8_t byte) { return (byte & 0xc0) == 0x80; }

/* The length of the UTF-8 sequence that begins with a byte >= 0x80; 0 when it is none. */
size_t wk_utf8_sequence(const uint8_t *at, const uint8_t *end) {
    const size_t left = (size_t)(end - at);
    const uint8_t first = at[0];
    if (first < 0xc2 || left < 2 || !continues(at[1])) {
        return 0;
    }
    if (first < 0xe0) {
        return 2;
    }
    if (left < 3 || !continues(at[2])) {
        return 0;
    }
    if (first < 0xf0) {
        const bool overlong = first == 0xe0 && at[1] < 0xa0;
        const bool surrogate = first == 0xed && at[1] >= 0xa0;
        return overlong || surrogate ? 0 : 3;
    }
    if (left < 4 || !continues(at[3])) {
        return 0;
    }
    const bool overlong = first == 0xf0 && at[1] < 0x90;
    const bool beyond = first > 0xf4 || (first == 0xf4 && at[1] >= 0x90);
    return overlong || beyond ? 0 : 4;
}

bool wk_is_utf8(wk_bytes text) {
    while (text.at < text.end) {
        uint64_t eight;
        if (wk_left(&text) >= 8) {
            memcpy(&eight, text.at, 8);
            if ((eight & 0x8080808080808080u) == 0) {
                text.at += 8;
                continue;
            }
        }
        if (*text.at < 0x80) {
            text.at++;
            continue;
        }
        const size_t length = wk_utf8_sequence(text.at, text.end);
        WK_TRY(length > 0);
        text.at += length;
    }
    return true;
}

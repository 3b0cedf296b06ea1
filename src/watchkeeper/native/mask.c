/* The masking of log lines: what varies becomes <*>.
 *
 * Follows patterns/reference.py, words.py and body.py function by function; those say why. Enters: the bytes of a log
 * body, any bytes. Leaves: the template. Reads only [0, size) of the body and writes only within the template's buffer:
 * every write goes through put(), which refuses to pass the end.
 */
#include "mask.h"

#include <stdbool.h>
#include <string.h>

enum {
    KNOWN = 1 << 0,
    VALUE = 1 << 1,
    TOP_DOMAIN = 1 << 2,
    REVERSED_DOMAIN = 1 << 3,
    NOT_NAME = 1 << 4,
    CREDENTIAL = 1 << 5,
    MONTH = 1 << 6,
    DAY = 1 << 7,
    ZONE = 1 << 8,
    BYTES = 1 << 9,
    TIME_UNIT = 1 << 10,
    WIDE_DOMAIN = 1 << 11,
    USER = 1 << 12,
    FOR = 1 << 13,
    COMMERCIAL = 1 << 14
};

enum { QUOTED_BYTES_MAX = 256, OBJECT_BYTES_MAX = 512, NAME_BYTES_MAX = 32, KEY_BYTES_MAX = 24 };

/* Classes of bytes. */
enum {
    DIGIT = 1 << 0,
    LOWER = 1 << 1,
    UPPER = 1 << 2,
    LETTER = LOWER | UPPER,
    HEX = 1 << 3,
    SPACE = 1 << 4,
    DELIMITER = 1 << 5,
    ENDS_ATOM = SPACE | DELIMITER,
    LEADING = 1 << 6,
    TRAILING = 1 << 7,
    AFTER_VALUE = 1 << 8,
    AFTER_URL = 1 << 9,
    ENDS_URL = 1 << 10,
    KEY_END = 1 << 11,
    KEY = 1 << 12,
    CLOCK = 1 << 13,
    JOINER = 1 << 14,
    NAME_PUNCTUATION = 1 << 15
};

#define S (SPACE | ENDS_URL)
#define D (DIGIT | HEX | KEY_END | KEY | CLOCK)
#define U (UPPER | KEY_END | KEY)
#define L (LOWER | KEY_END | KEY)
#define P (LEADING | TRAILING)

static const uint16_t CLASS[256] = {
    S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S,
    [' '] = S,
    ['!'] = P | AFTER_VALUE | AFTER_URL,
    ['"'] = DELIMITER | ENDS_URL,
    ['#'] = P | JOINER,
    ['$'] = P | NAME_PUNCTUATION,
    ['%'] = P,
    ['&'] = P,
    ['\''] = DELIMITER | ENDS_URL,
    ['('] = DELIMITER,
    [')'] = DELIMITER | ENDS_URL,
    ['*'] = P,
    ['+'] = TRAILING | CLOCK,
    [','] = DELIMITER | AFTER_URL,
    ['-'] = TRAILING | KEY_END | CLOCK,
    ['.'] = P | AFTER_VALUE | AFTER_URL | KEY_END | KEY | CLOCK | JOINER | NAME_PUNCTUATION,
    ['/'] = JOINER,
    ['0'] = D, D, D, D, D, D, D, D, D, D,
    [':'] = P | AFTER_VALUE | AFTER_URL | CLOCK | JOINER,
    [';'] = DELIMITER | AFTER_URL,
    ['<'] = DELIMITER | ENDS_URL,
    ['='] = DELIMITER,
    ['>'] = DELIMITER | ENDS_URL,
    ['?'] = P | AFTER_VALUE,
    ['@'] = P | JOINER,
    ['A'] = U | HEX, U | HEX, U | HEX, U | HEX, U | HEX, U | HEX,
    ['G'] = U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U | CLOCK,
    ['['] = DELIMITER,
    [']'] = DELIMITER | ENDS_URL | KEY_END,
    ['^'] = P,
    ['_'] = KEY_END | KEY | NAME_PUNCTUATION,
    ['`'] = P,
    ['a'] = L | HEX, L | HEX, L | HEX, L | HEX, L | HEX, L | HEX,
    ['g'] = L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L,
    ['{'] = DELIMITER,
    ['|'] = DELIMITER,
    ['}'] = DELIMITER | ENDS_URL,
    ['~'] = P,
    [127] = S,
};

#undef S
#undef D
#undef U
#undef L
#undef P

typedef struct {
    const wk_mask_words *words;
    const uint8_t *body;
    uint8_t *out;
    size_t used;
    size_t kind_at, kind_size; /* the prefix that the last variable began with, in the body */
    uint32_t previous, before; /* meanings of the last two words */
    bool in_date, in_list;
} scanner;

static bool is(uint8_t byte, unsigned classes) { return (CLASS[byte] & classes) != 0; }

static bool all(const uint8_t *body, size_t at, size_t end, unsigned classes) {
    for (; at < end; at++) {
        if (!is(body[at], classes)) return false;
    }
    return true;
}

static bool any(const uint8_t *body, size_t at, size_t end, unsigned classes) {
    for (; at < end; at++) {
        if (is(body[at], classes)) return true;
    }
    return false;
}

/* Gives where the byte stands first in [at, end), or end. */
static size_t find(const uint8_t *body, size_t at, size_t end, uint8_t byte) {
    if (at >= end) return end;
    const uint8_t *found = memchr(body + at, byte, end - at);
    return found ? (size_t)(found - body) : end;
}

static size_t find_last(const uint8_t *body, size_t at, size_t end, uint8_t byte) {
    for (size_t k = end; k > at; k--) {
        if (body[k - 1] == byte) return k - 1;
    }
    return end;
}

/* Gives where the byte stands twice running first in [at, end), or end. */
static size_t find_pair(const uint8_t *body, size_t at, size_t end, uint8_t byte) {
    for (; at + 1 < end; at++) {
        at = find(body, at, end, byte);
        if (at + 1 < end && body[at + 1] == byte) return at;
    }
    return end;
}

static size_t count(const uint8_t *body, size_t at, size_t end, uint8_t byte) {
    size_t n = 0;
    for (; at < end; at++) n += body[at] == byte;
    return n;
}

static bool starts(const uint8_t *body, size_t at, size_t end, const char *text, size_t size) {
    return at <= end && end - at >= size && memcmp(body + at, text, size) == 0;
}

static uint8_t lower(uint8_t byte) { return is(byte, UPPER) ? (uint8_t)(byte | 32) : byte; }

uint32_t wk_mask_word_hash(const uint8_t *text, size_t size) {
    uint32_t hash = 2166136261u;
    for (size_t k = 0; k < size; k++) hash = (hash ^ text[k]) * 16777619u;
    return hash ^ (hash >> 15);
}

static uint32_t meaning(const scanner *s, size_t start, size_t end) {
    size_t size = end - start;
    if (size == 0 || size > WK_MASK_WORD_BYTES_MAX) return 0;
    if (!(s->words->sizes_of[lower(s->body[start])] >> size & 1u)) return 0;
    uint8_t text[WK_MASK_WORD_BYTES_MAX];
    for (size_t k = 0; k < size; k++) text[k] = lower(s->body[start + k]);
    for (uint32_t slot = wk_mask_word_hash(text, size);; slot++) {
        const wk_mask_word *word = &s->words->slots[slot & s->words->mask];
        if (word->size == 0) return 0;
        if (word->size == size && memcmp(word->text, text, size) == 0) return word->meaning;
    }
}

/* ---- output ---- */

static void put(scanner *s, const void *bytes, size_t size) {
    if (size > WK_MASK_TEMPLATE_BYTES_MAX - s->used) size = WK_MASK_TEMPLATE_BYTES_MAX - s->used;
    memcpy(s->out + s->used, bytes, size);
    s->used += size;
}

static void put_byte(scanner *s, uint8_t byte) {
    if (s->used < WK_MASK_TEMPLATE_BYTES_MAX) s->out[s->used++] = byte;
}

static void literal(scanner *s, size_t start, size_t end) {
    if (end > start) put(s, s->body + start, end - start);
}

/* Tells whether the output, less its last `less` bytes, ends with a variable. */
static bool variable_before(const scanner *s, size_t less) {
    if (s->used < 3 + less) return false;
    const uint8_t *at = s->out + s->used - less - 3;
    return at[0] == '<' && at[1] == '*' && at[2] == '>';
}

static bool after_variable(const scanner *s) {
    return s->used > 0 && s->out[s->used - 1] == ' ' && variable_before(s, 1);
}

static void forget_words(scanner *s) { s->previous = s->before = 0; }

static bool same_kind(const scanner *s, size_t at, size_t size) {
    return size > 0 && size == s->kind_size && memcmp(s->body + at, s->body + s->kind_at, size) == 0;
}

static void variable(scanner *s, size_t kind_at, size_t kind_size) {
    if (variable_before(s, 0)) return;
    if (variable_before(s, 1)) {
        uint8_t last = s->out[s->used - 1];
        if (is(last, JOINER) || last == ',' || (last == ' ' && same_kind(s, kind_at, kind_size))) {
            s->used -= 1;
            return;
        }
    }
    if (s->in_list && variable_before(s, 2) && s->out[s->used - 2] == ',' && s->out[s->used - 1] == ' ') {
        s->used -= 2;
        return;
    }
    put(s, "<*>", 3);
    s->kind_at = kind_at;
    s->kind_size = kind_size;
}

static void plain_variable(scanner *s) { variable(s, 0, 0); }

/* ---- ends of things ---- */

static size_t run_end(const uint8_t *body, size_t at, size_t end, unsigned classes) {
    while (at < end && is(body[at], classes)) at++;
    return at;
}

static size_t until(const uint8_t *body, size_t at, size_t end, unsigned classes) {
    while (at < end && !is(body[at], classes)) at++;
    return at;
}

static size_t trim(const uint8_t *body, size_t start, size_t end, unsigned classes) {
    while (end > start && is(body[end - 1], classes)) end--;
    return end;
}

static bool has_scheme(const uint8_t *body, size_t start, size_t end) {
    for (size_t at = find(body, start, end, ':'); at < end; at = find(body, at + 1, end, ':')) {
        if (end - at >= 3 && body[at + 1] == '/' && body[at + 2] == '/') return at > start;
    }
    return false;
}

static size_t object_end(const uint8_t *body, size_t at, size_t end) {
    size_t depth = 0;
    for (; at < end; at++) {
        if (body[at] == '{') depth++;
        if (body[at] == '}' && --depth == 0) return at + 1;
    }
    return 0;
}

static size_t skip_blanks(const uint8_t *body, size_t at, size_t end) {
    while (at < end && body[at] == ' ') at++;
    return at;
}

static size_t date_end(const scanner *s, size_t start, size_t stop, size_t end) {
    const uint8_t *body = s->body;
    uint32_t means = meaning(s, start, stop);
    size_t at = stop;
    if (means & DAY) {
        if (at < end && body[at] == ',') at++;
        at = skip_blanks(body, at, end);
        stop = until(body, at, end, ENDS_ATOM);
        if (stop - at >= 1 && stop - at <= 2 && all(body, at, stop, DIGIT)) {
            at = skip_blanks(body, stop, end);
            stop = until(body, at, end, ENDS_ATOM);
            return stop - at == 3 && (meaning(s, at, stop) & MONTH) ? stop : 0;
        }
        if (stop - at != 3) return 0;
        means = meaning(s, at, stop);
        at = stop;
    }
    if (!(means & MONTH)) return 0;
    at = skip_blanks(body, at, end);
    stop = run_end(body, at, end, DIGIT);
    return stop - at >= 1 && stop - at <= 2 ? stop : 0;
}

/* ---- what a text is ---- */

static bool is_path(const uint8_t *body, size_t start, size_t end) {
    uint8_t first = body[start];
    size_t size = end - start;
    if ((first == '/' && size > 1) || (first == '.' && size > 2)) return true;
    if (size > 2 && first == '~' && body[start + 1] == '/') return true;
    if (size > 2 && is(first, LETTER) && body[start + 1] == ':' && (body[start + 2] == '\\' || body[start + 2] == '/')) return true;
    size_t slashes = count(body, start, end, '/');
    if (slashes >= 2 || count(body, start, end, '\\') >= 2) return true;
    if (slashes != 1) return false;
    return (starts(body, start, end, "com.", 4) || starts(body, start, end, "org.", 4)) && count(body, start, end, '.') >= 2;
}

static bool is_hex_address(const uint8_t *body, size_t start, size_t end) {
    size_t groups = 1, size = 0;
    bool digits = false;
    for (size_t at = start; at < end; at++) {
        if (body[at] == ':') {
            groups++;
            size = 0;
        } else if (!is(body[at], HEX) || ++size > 4) {
            return false;
        }
        digits |= is(body[at], DIGIT);
    }
    return groups >= 3 && digits;
}

static bool is_key(const uint8_t *body, size_t start, size_t end) {
    size_t digits = 0;
    for (size_t at = start; at < end; at++) digits += is(body[at], DIGIT);
    return digits <= 2 && end - start <= KEY_BYTES_MAX && all(body, start, end, KEY);
}

static bool is_known_name(const scanner *s, size_t start, size_t end) {
    const uint8_t *body = s->body;
    if (meaning(s, start, end) & KNOWN) return true;
    size_t letters = 0, digits = 0, first = end, last = start;
    for (size_t at = start; at < end; at++) {
        if (is(body[at], DIGIT)) {
            if (first == end) first = at;
            last = at;
            digits++;
        } else if (is(body[at], LETTER)) {
            letters++;
        } else if (!is(body[at], NAME_PUNCTUATION)) {
            return false;
        }
    }
    if (last - first + 1 != digits || first < start + 2 || !is(body[first - 1], LETTER)) return false;
    size_t after = last + 1, size = end - after;
    if (digits == 1 && letters >= 7 && size >= 2) {
        return (is(body[after], LETTER) || body[after] == '$') && (is(body[after + 1], LETTER) || body[after + 1] == '$');
    }
    if (size < 6 || !all(body, after, end, LETTER)) return false;
    return any(body, after, end, UPPER) && any(body, after, end, LOWER);
}

static bool is_label_text(const uint8_t *body, size_t start, size_t end) {
    for (size_t at = start; at < end; at++) {
        if (!is(body[at], LETTER) && body[at] != '.' && body[at] != '-') return false;
        if (body[at] == '.' && at + 1 < end && body[at + 1] == '.') return false;
    }
    return true;
}

static bool is_value_without_digits(const scanner *s, size_t start, size_t end, uint32_t means) {
    const uint8_t *body = s->body;
    if (means & VALUE || (end - start >= 8 && all(body, start, end, HEX))) return true;
    size_t dot = find(body, start, end, '.');
    if (dot == end) return false;
    size_t dots = count(body, dot, end, '.'), last = find_last(body, start, end, '.') + 1;
    if (dot == start || last == end) return false;
    uint32_t begins = meaning(s, start, dot), ends = meaning(s, last, end);
    if (!(begins & REVERSED_DOMAIN) && ((ends & WIDE_DOMAIN) || (dots >= 2 && (ends & TOP_DOMAIN)))) {
        return is_label_text(body, start, end);
    }
    if (dots < 2) return false;
    bool constant = end - last >= 2;
    for (size_t at = last; at < end && constant; at++) constant = is(body[at], UPPER) || body[at] == '_';
    if (constant) return true;
    return (begins & COMMERCIAL) && !any(body, start, end, UPPER);
}

/* ---- atoms ---- */

static void digitless(scanner *s, size_t start, size_t end) {
    uint32_t means = meaning(s, start, end);
    bool named = !(means & NOT_NAME) && end - start <= NAME_BYTES_MAX &&
                 ((s->previous & USER) || ((s->previous & FOR) && (s->before & CREDENTIAL)));
    if (named) forget_words(s);
    if (named || is_value_without_digits(s, start, end, means) || find(s->body, start + 1, end - 1, '@') < end - 1) {
        plain_variable(s);
        return;
    }
    literal(s, start, end);
    s->before = s->previous;
    s->previous = means;
}

static void with_digits(scanner *s, size_t start, size_t end) {
    const uint8_t *body = s->body;
    size_t at = find_last(body, start, end, '@');
    if (at < end) {
        bool is_class = !any(body, start, at, DIGIT) && (find(body, start, at, '.') < at || find(body, start, at, '$') < at);
        if (is_class && at + 1 < end) literal(s, start, at + 1);
        plain_variable(s);
        return;
    }
    size_t letters = run_end(body, start, end, LETTER);
    if (letters - start >= 2 && letters + 1 < end && (body[letters] == '-' || body[letters] == '.') &&
        !any(body, letters + 1, end, LETTER)) {
        literal(s, start, letters + 1);
        plain_variable(s);
        return;
    }
    bool prefixed = letters < end && (body[letters] == '_' || body[letters] == '-');
    variable(s, start, prefixed ? letters + 1 - start : 0);
}

static void part(scanner *s, size_t start, size_t end, bool key, bool scoped) {
    if (start == end) return;
    if (is(s->body[start], LETTER) && (scoped || (key && is_key(s->body, start, end)))) {
        literal(s, start, end);
        forget_words(s);
    } else if (!any(s->body, start, end, DIGIT)) {
        digitless(s, start, end);
    } else if (is_known_name(s, start, end)) {
        literal(s, start, end);
        forget_words(s);
    } else {
        forget_words(s);
        with_digits(s, start, end);
    }
}

static void segment(scanner *s, size_t start, size_t end, bool key) {
    const uint8_t *body = s->body;
    if (is_path(body, start, end)) {
        size_t colon = find(body, start + 2, end, ':');
        plain_variable(s);
        if (colon >= end - 1) {
            forget_words(s);
            return;
        }
        literal(s, colon, colon + 1);
        start = colon + 1;
    }
    if (find(body, start, end, ':') == end) {
        part(s, start, end, key, false);
        return;
    }
    if (is_hex_address(body, start, end)) {
        plain_variable(s);
        return;
    }
    bool scoped = is(body[start], LETTER) && find_pair(body, start, end, ':') < end;
    for (;;) {
        size_t colon = find(body, start, end, ':');
        part(s, start, colon, false, scoped);
        if (colon == end) return;
        literal(s, colon, colon + 1);
        start = colon + 1;
    }
}

static void atom(scanner *s, size_t start, size_t end, bool key) {
    const uint8_t *body = s->body;
    size_t first = start;
    while (first < end && is(body[first], LEADING)) {
        if ((body[first] == '.' || body[first] == '~') && first + 1 < end && body[first + 1] == '/') break;
        first++;
    }
    size_t last = trim(body, first, end, TRAILING);
    size_t sign = first;
    while (sign < last && (body[sign] == '+' || body[sign] == '-')) sign++;
    if (sign < last && !is(body[sign], DIGIT) && body[sign] != '/') first = sign;
    literal(s, start, first);
    while (first < last) {
        size_t dots = find_pair(body, first + 1, last, '.');
        segment(s, first, dots, dots == last && key);
        if (dots == last) break;
        first = dots;
        while (first < last && body[first] == '.') first++;
        literal(s, dots, first);
    }
    literal(s, last, end);
}

static size_t word(scanner *s, size_t start, size_t stop, size_t end) {
    const uint8_t *body = s->body;
    if (stop - start == 3 && is(body[start], UPPER)) {
        size_t done = date_end(s, start, stop, end);
        if (done) {
            plain_variable(s);
            forget_words(s);
            s->in_date = true;
            return done;
        }
    }
    bool follows = after_variable(s);
    if (s->in_date) {
        if (follows && ((meaning(s, start, stop) & ZONE) || all(body, start, stop, CLOCK))) {
            s->used -= 1;
            return stop;
        }
        s->in_date = false;
    }
    if (has_scheme(body, start, stop)) {
        size_t url = until(body, start, end, ENDS_URL), last = trim(body, start, url, AFTER_URL);
        plain_variable(s);
        literal(s, last, url);
        return url;
    }
    if (follows) {
        size_t last = trim(body, start, stop, AFTER_VALUE);
        bool unit = last > start && (meaning(s, start, last) & BYTES);
        if (unit || starts(body, start, stop, "HTTP/", 5)) {
            s->used -= 1;
            if (unit) literal(s, last, stop);
            return stop;
        }
    }
    if (starts(body, start, end, "/ HTTP/", 7)) {
        plain_variable(s);
        return stop;
    }
    atom(s, start, stop, (stop < end && body[stop] == '=') || starts(body, stop, end, "()", 2));
    return stop;
}

/* ---- between atoms ---- */

static size_t bound(scanner *s, size_t at, size_t end) {
    const uint8_t *body = s->body;
    size_t stop = until(body, at + 1, end, ENDS_ATOM);
    if (stop < end && body[stop] == '>') return 0;
    plain_variable(s);
    if (stop < end && body[stop] == ' ') {
        size_t unit = run_end(body, stop + 1, end, LETTER);
        if (meaning(s, stop + 1, unit) & TIME_UNIT) return unit;
    }
    return stop;
}

static size_t value(scanner *s, size_t at, size_t end) {
    const uint8_t *body = s->body;
    size_t start = at + 1;
    if (s->used == 0 || start >= end) return 0;
    if (!is(s->out[s->used - 1], KEY_END) && !variable_before(s, 0)) return 0;
    uint8_t first = body[start];
    if (first == '"' || first == '\'') {
        size_t limit = end - (start + 1) < QUOTED_BYTES_MAX ? end : start + 1 + QUOTED_BYTES_MAX;
        size_t close = find(body, start + 1, limit, first);
        if (close == limit) return 0;
        put_byte(s, '=');
        put_byte(s, first);
        if (close > start + 1) plain_variable(s);
        put_byte(s, first);
        return close + 1;
    }
    if (is(first, ENDS_ATOM)) return 0;
    size_t stop = until(body, start, end, ENDS_ATOM);
    if (has_scheme(body, start, stop)) {
        stop = until(body, start, end, ENDS_URL);
    } else if (stop < end && body[stop] == '(') {
        return 0;
    } else if (stop < end && body[stop] == '{') {
        size_t close = object_end(body, stop, end - stop < OBJECT_BYTES_MAX ? end : stop + OBJECT_BYTES_MAX);
        if (!close) return 0;
        put_byte(s, '=');
        plain_variable(s);
        return close;
    }
    size_t last = trim(body, start, stop, AFTER_VALUE);
    put_byte(s, '=');
    if (last > start) plain_variable(s);
    literal(s, last, stop);
    return stop;
}

static size_t delimiter(scanner *s, size_t at, size_t end) {
    uint8_t byte = s->body[at], following = at + 1 < end ? s->body[at + 1] : 0;
    size_t done = 0;
    if ((byte == '<' || byte == '>') && is(following, DIGIT)) {
        done = bound(s, at, end);
    } else if (byte == '=') {
        done = value(s, at, end);
    } else if (byte == '(' && following == ')' && after_variable(s)) {
        put(s, "(<*>)", 5);
        s->kind_size = 0;
        return at + 2;
    } else if (byte == '[' && is(following, DIGIT) && s->used > 0 && s->out[s->used - 1] == '-') {
        size_t limit = end - (at + 1) < QUOTED_BYTES_MAX ? end : at + 1 + QUOTED_BYTES_MAX;
        size_t close = find(s->body, at + 1, limit, ']');
        if (close < limit) {
            plain_variable(s);
            return close + 1;
        }
    }
    if (done) return done;
    put_byte(s, byte);
    if (byte == '[' || byte == ']') s->in_list = byte == '[';
    if (byte != '"' && byte != '\'' && byte != '=') forget_words(s);
    return at + 1;
}

static size_t space(scanner *s, size_t at, size_t end, size_t base) {
    if (s->body[at] == 27 && at + 1 < end && s->body[at + 1] == '[') {
        at += 2;
        while (at < end && !(s->body[at] >= 0x40 && s->body[at] <= 0x7E)) at++;
        return at < end ? at + 1 : end;
    }
    if (s->used > base && s->out[s->used - 1] != ' ') put_byte(s, ' ');
    return at + 1;
}

static void line(scanner *s, size_t at, size_t end) {
    size_t base = s->used;
    forget_words(s);
    s->kind_size = 0;
    s->in_date = s->in_list = false;
    while (at < end) {
        uint8_t byte = s->body[at];
        if (is(byte, SPACE)) {
            at = space(s, at, end, base);
        } else if (is(byte, DELIMITER)) {
            at = delimiter(s, at, end);
        } else {
            at = word(s, at, until(s->body, at, end, ENDS_ATOM), end);
        }
    }
    if (s->used > base && s->out[s->used - 1] == ' ') s->used--;
}

/* ---- bodies ---- */

static size_t cut(const uint8_t *body, size_t start, size_t end, size_t limit) {
    if (end - start <= limit) return end;
    end = start + limit;
    while (end > start && (body[end] & 0xC0) == 0x80) end--;
    return end;
}

static bool is_frame(const uint8_t *body, size_t start, size_t end) {
    return body[start] == ' ' || body[start] == '\t' || starts(body, start, end, "at ", 3) || starts(body, start, end, "...", 3);
}

size_t wk_mask_scan(const wk_mask_words *words, const uint8_t *body, size_t size, uint8_t *out) {
    scanner s = {.words = words, .body = body, .out = out};
    size_t start = 0, stop = cut(body, 0, size, WK_MASK_BODY_BYTES_MAX), lines = 0;
    while (start < stop && lines < WK_MASK_LINES_MAX) {
        size_t end = find(body, start, stop, '\n');
        if (!all(body, start, end, SPACE) && !(lines && is_frame(body, start, end))) {
            if (lines++) put(&s, " \xE2\x86\xB5 ", 5);
            line(&s, start, cut(body, start, end, WK_MASK_LINE_BYTES_MAX));
        }
        start = end + 1;
    }
    return s.used;
}

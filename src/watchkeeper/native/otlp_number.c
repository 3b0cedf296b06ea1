/* Numbers as JSON text: integers, and doubles exactly as Python's repr writes them (the shortest text that reads back
 * as the same double). */
#define _POSIX_C_SOURCE 200809L
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>

#include "otlp.h"

#define DIGITS_MAX 20

bool wk_write_u64(wk_buffer *out, uint64_t number) {
    char text[DIGITS_MAX];
    int at = DIGITS_MAX;
    do {
        text[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return wk_append(out, text + at, (size_t)(DIGITS_MAX - at));
}

bool wk_write_i64(wk_buffer *out, int64_t number) {
    if (number >= 0) {
        return wk_write_u64(out, (uint64_t)number);
    }
    return wk_append_byte(out, '-') && wk_write_u64(out, 0 - (uint64_t)number);
}

/* Writes d.ddd times a power of ten in the form of Python's repr; of the digits, the zeros at the end are left out. */
static bool write_digits(wk_buffer *out, const char *digits, int count, int power) {
    while (count > 1 && digits[count - 1] == '0') {
        count--;
    }
    WK_TRY(wk_reserve(out, 40));
    if (power < -4 || power >= 16) {
        WK_TRY(wk_append(out, digits, 1));
        WK_TRY(count == 1 || (wk_append_byte(out, '.') && wk_append(out, digits + 1, (size_t)count - 1)));
        WK_TRY(wk_append(out, power < 0 ? "e-0" : "e+0", abs(power) < 10 ? 3 : 2));
        return wk_write_u64(out, (uint64_t)abs(power));
    }
    if (power < 0) {
        return wk_append(out, "0.000", (size_t)(1 - power)) && wk_append(out, digits, (size_t)count);
    }
    if (count <= power + 1) {
        return wk_append(out, digits, (size_t)count) && wk_append(out, "0000000000000000", (size_t)(power + 1 - count)) &&
               WK_APPEND_WORD(out, ".0");
    }
    return wk_append(out, digits, (size_t)power + 1) && wk_append_byte(out, '.') &&
           wk_append(out, digits + power + 1, (size_t)(count - power - 1));
}

/* ---- exactly, for the numbers that there are most of: from 1e-11 to 1e17 ---- */

typedef unsigned __int128 wide;

#define FIVES_COUNT 28
static const uint64_t FIVES[FIVES_COUNT] = {
    1u, 5u, 25u, 125u, 625u, 3125u, 15625u, 78125u, 390625u, 1953125u, 9765625u, 48828125u, 244140625u, 1220703125u,
    6103515625u, 30517578125u, 152587890625u, 762939453125u, 3814697265625u, 19073486328125u, 95367431640625u,
    476837158203125u, 2384185791015625u, 11920928955078125u, 59604644775390625u, 298023223876953125u,
    1490116119384765625u, 7450580596923828125u,
};
#define DIGITS_17_MAX 100000000000000000u

/* A number scaled by a power of ten so that its whole part has 17 digits: middle / 2^shift, all exact. The doubles next
 * to it are twice `half` away. */
typedef struct {
    wide middle, half;
    int shift, scale;
} scaled;

static bool scale(uint64_t mantissa, int exponent, scaled *into) {
    const int log10 = (int)(((int64_t)(exponent + 52) * 78913) >> 18); /* or one less than that */
    for (into->scale = 16 - log10; into->scale >= 0 && into->scale < FIVES_COUNT; into->scale--) {
        into->half = FIVES[into->scale];
        into->middle = 2 * (wide)mantissa * FIVES[into->scale];
        into->shift = 1 - exponent - into->scale;
        if (into->shift < 0) {
            into->middle <<= -into->shift;
            into->half <<= -into->shift;
            into->shift = 0;
        }
        if (into->middle >> into->shift < DIGITS_17_MAX) {
            return true;
        }
    }
    return false;
}

/* Tries 15, 16 and 17 digits: the nearest decimal of so many reads back as the number if it is within `half` of it.
 * No two decimals of up to 15 digits are the same double, so zeros at the end of 15 may go. Just below a power of two
 * doubles lie closer, and the nearest decimal may miss where a farther one hits: then only 15 digits are sure. */
static bool write_exactly(wk_buffer *out, uint64_t mantissa, int exponent, bool power_of_two) {
    scaled number;
    WK_TRY(scale(mantissa, exponent, &number));
    const uint64_t whole = (uint64_t)(number.middle >> number.shift);
    const wide rest = number.middle - ((wide)whole << number.shift);
    static const uint64_t UNITS[] = {100, 10, 1};
    for (int dropped = 2; dropped >= (power_of_two ? 2 : 0); dropped--) {
        const uint64_t unit = UNITS[2 - dropped];
        const wide step = (wide)unit << number.shift;
        const wide below = ((wide)(whole % unit) << number.shift) + rest;
        uint64_t digits = whole / unit;
        const bool up = below * 2 > step || (below * 2 == step && (digits & 1) != 0);
        const wide distance = up ? step - below : below;
        const wide reach = power_of_two && !up ? number.half / 2 : number.half;
        if (distance > reach || (distance == reach && (mantissa & 1) != 0)) {
            continue;
        }
        char text[DIGITS_MAX];
        int at = DIGITS_MAX;
        for (digits += up; digits > 0; digits /= 10) {
            text[--at] = (char)('0' + digits % 10);
        }
        return write_digits(out, text + at, DIGITS_MAX - at, DIGITS_MAX - at - 1 + dropped - number.scale);
    }
    return false;
}

/* ---- by trial, for all others ---- */

static locale_t plain_locale;

/* The program's own locale may write a comma for the point. */
__attribute__((constructor)) static void make_plain_locale(void) {
    plain_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

/* Tries more and more digits until the text reads back as the number. */
static bool write_by_trial(wk_buffer *out, double number, bool power_of_two, bool subnormal) {
    char text[32];
    for (int precision = subnormal ? 1 : 15; precision <= 17; precision++) {
        WK_TRY(precision == 15 || !power_of_two);
        snprintf(text, sizeof text, "%.*e", precision - 1, number);
        if (strtod(text, NULL) != number) {
            continue;
        }
        char *power = strchr(text, 'e');
        WK_TRY(power != NULL);
        if (precision > 1) {
            memmove(text + 1, text + 2, (size_t)precision - 1); /* over the point */
        }
        return write_digits(out, text, precision, atoi(power + 1));
    }
    return false;
}

bool wk_write_double(wk_buffer *out, uint64_t bits) {
    const uint64_t fraction = bits & 0xfffffffffffffu;
    const unsigned exponent = (unsigned)(bits >> 52) & 0x7ff;
    const bool negative = bits >> 63 != 0;
    if (exponent == 0x7ff) {
        if (fraction != 0) {
            return WK_APPEND_WORD(out, "{\"$double\":\"NaN\"}");
        }
        return negative ? WK_APPEND_WORD(out, "{\"$double\":\"-Infinity\"}")
                        : WK_APPEND_WORD(out, "{\"$double\":\"Infinity\"}");
    }
    if (negative) {
        WK_TRY(wk_append_byte(out, '-'));
        bits &= INT64_MAX;
    }
    if (bits == 0) {
        return WK_APPEND_WORD(out, "0.0");
    }
    if (exponent != 0 && write_exactly(out, fraction | (uint64_t)1 << 52, (int)exponent - 1075, fraction == 0)) {
        return true;
    }
    WK_TRY(plain_locale != (locale_t)0);
    double number;
    memcpy(&number, &bits, sizeof number);
    const locale_t before = uselocale(plain_locale);
    const bool sure = write_by_trial(out, number, fraction == 0, exponent == 0);
    uselocale(before);
    return sure;
}

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

static const double POWERS_OF_TEN[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,
                                       1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19};
#define POWERS_COUNT ((int)(sizeof POWERS_OF_TEN / sizeof *POWERS_OF_TEN))
#define UNIQUE_MAX 1e15 /* no two decimals of up to 15 digits are the same double */

/* Finds the fewest decimals that give the number back. Both the product and the quotient here are off by half a unit in
 * the last place at most, which cannot change a decimal of 15 digits; so what reads back is the one shortest text. */
static bool few_decimals(double number, uint64_t *digits, int *decimals) {
    for (int k = 0; k < POWERS_COUNT; k++) {
        const double scaled = number * POWERS_OF_TEN[k];
        if (scaled >= UNIQUE_MAX) {
            return false;
        }
        const uint64_t whole = (uint64_t)(scaled + 0.5);
        if ((double)whole / POWERS_OF_TEN[k] == number) {
            *digits = whole;
            *decimals = k;
            return true;
        }
    }
    return false;
}

static bool write_few(wk_buffer *out, uint64_t digits, int decimals) {
    char text[POWERS_COUNT + 16];
    int at = (int)sizeof text;
    for (int k = 0; k < decimals; k++, digits /= 10) {
        text[--at] = (char)('0' + digits % 10);
    }
    if (decimals == 0) {
        text[--at] = '0';
    }
    text[--at] = '.';
    do {
        text[--at] = (char)('0' + digits % 10);
        digits /= 10;
    } while (digits > 0);
    return wk_append(out, text + at, sizeof text - (size_t)at);
}

static locale_t plain_locale;

/* The program's own locale may write a comma for the point. */
__attribute__((constructor)) static void make_plain_locale(void) {
    plain_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

/* Writes digits d.ddd and a power of ten in the form of Python's repr. */
static bool write_digits(wk_buffer *out, const char *digits, int count, int power) {
    char text[48];
    int size;
    if (power >= 16 || power < -4) {
        size = snprintf(text, sizeof text, count > 1 ? "%.1s.%.*se%c%02d" : "%.1s%.*se%c%02d", digits, count - 1,
                        digits + 1, power < 0 ? '-' : '+', abs(power));
    } else if (power < 0) {
        size = snprintf(text, sizeof text, "0.%.*s%.*s", -power - 1, "0000", count, digits);
    } else if (count <= power + 1) {
        size = snprintf(text, sizeof text, "%.*s%.*s.0", count, digits, power + 1 - count, "0000000000000000");
    } else {
        size = snprintf(text, sizeof text, "%.*s.%.*s", power + 1, digits, count - power - 1, digits + power + 1);
    }
    return size > 0 && (size_t)size < sizeof text && wk_append(out, text, (size_t)size);
}

/* Tries more and more digits until the text reads back as the number. */
static bool write_many(wk_buffer *out, double number, bool power_of_two, bool subnormal) {
    char text[32];
    for (int precision = subnormal ? 1 : 15; precision <= 17; precision++) {
        /* Below a power of two doubles lie closer than above it, so the nearest decimal may miss while a farther one
         * of as many digits hits. */
        WK_TRY(precision == 15 || !power_of_two);
        snprintf(text, sizeof text, "%.*e", precision - 1, number);
        if (strtod(text, NULL) != number) {
            continue;
        }
        char digits[20];
        int count = 0;
        const char *at = text;
        for (; *at != '\0' && *at != 'e'; at++) {
            if (*at >= '0' && *at <= '9' && count < (int)sizeof digits) {
                digits[count++] = *at;
            }
        }
        while (count > 1 && digits[count - 1] == '0') {
            count--;
        }
        return *at == 'e' && write_digits(out, digits, count, atoi(at + 1));
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
    double number;
    memcpy(&number, &bits, sizeof number);
    uint64_t digits;
    int decimals;
    if (number == 0 || (number >= 1e-4 && few_decimals(number, &digits, &decimals))) {
        return number == 0 ? WK_APPEND_WORD(out, "0.0") : write_few(out, digits, decimals);
    }
    WK_TRY(plain_locale != (locale_t)0);
    const locale_t before = uselocale(plain_locale);
    const bool sure = write_many(out, number, fraction == 0, exponent == 0);
    uselocale(before);
    return sure;
}

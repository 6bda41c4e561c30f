/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Floats as the compatible interface spells them: Java's Double.toString. That is the shortest decimal that
 * reads back as the same double (of several, the closest), at least one digit behind the point, and an
 * exponent below 1E-3 and from 1E7 on. The shortest is found by trying: printf rounds correctly, so the first
 * precision that reads back is it; Java starts at two digits, which decides between 4.9E-324 and 5E-324.
 */

#include "http/float_text.h"

#include <math.h>
#include <stdio.h>

struct decimal {
	bool negative;
	char digits[20]; /* no zeroes at the end, at least one digit */
	size_t count;
	int exponent; /* value = d.ddd * 10^exponent */
};

/* "d.ddde[+-]xx", as %e prints, taken apart. */
static void take_apart(const char *printed, struct decimal *out)
{
	const char *p = printed;

	*out = (struct decimal){.negative = *p == '-'};
	if (out->negative)
		p++;
	for (; *p != 'e'; p++) {
		if (*p >= '0' && *p <= '9')
			out->digits[out->count++] = *p;
	}
	out->exponent = (int)strtol(p + 1, NULL, 10);
	while (out->count > 1 && out->digits[out->count - 1] == '0')
		out->count--;
}

static void shortest(double v, struct decimal *out)
{
	char printed[FLOAT_TEXT];

	for (int precision = 1; precision <= 16; precision++) {
		snprintf(printed, sizeof(printed), "%.*e", precision, v);
		if (strtod(printed, NULL) == v)
			break;
	}
	take_apart(printed, out);
}

/* Digits from `from` on behind the point, at least "0". */
static int fraction(const struct decimal *d, size_t from, char *out)
{
	if (from >= d->count) {
		out[0] = '0';
		return 1;
	}
	memcpy(out, d->digits + from, d->count - from);
	return (int)(d->count - from);
}

static void write_plain(const struct decimal *d, char *out)
{
	int at = 0;

	if (d->exponent < 0) {
		out[at++] = '0';
		out[at++] = '.';
		for (int i = -1; i > d->exponent; i--)
			out[at++] = '0';
		at += fraction(d, 0, out + at);
	} else {
		for (int i = 0; i <= d->exponent; i++)
			out[at++] = (size_t)i < d->count ? d->digits[i] : '0';
		out[at++] = '.';
		at += fraction(d, (size_t)d->exponent + 1, out + at);
	}
	out[at] = 0;
}

static void write_scientific(const struct decimal *d, char *out)
{
	int at = 2;

	out[0] = d->digits[0];
	out[1] = '.';
	at += fraction(d, 1, out + at);
	snprintf(out + at, 8, "E%d", d->exponent);
}

const char *float_text(double v, char text[FLOAT_TEXT])
{
	struct decimal d;
	char *out = text;

	if (isnan(v))
		return strcpy(text, "NaN");
	if (isinf(v))
		return strcpy(text, v < 0 ? "-Infinity" : "Infinity");
	if (v == 0)
		return strcpy(text, signbit(v) ? "-0.0" : "0.0");
	shortest(v, &d);
	if (d.negative)
		*out++ = '-';
	if (d.exponent >= -3 && d.exponent < 7)
		write_plain(&d, out);
	else
		write_scientific(&d, out);
	return text;
}

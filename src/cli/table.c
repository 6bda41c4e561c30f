/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Tables for people. Only the last column is ever cut: the ones before it are what a row is known by. */

#include "cli/table.h"

#include "cli/text.h"

#include <stdarg.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { GAP = 2, LAST_MIN = 8 };

void table_init(struct table *t, unsigned columns, const char *const *titles)
{
	assert(columns > 0 && columns <= TABLE_COLUMNS_MAX);
	*t = (struct table){.titles = titles, .columns = columns};
}

void table_deinit(struct table *t)
{
	for (size_t i = 0; i < t->count; i++)
		free(t->cells[i]);
	free(t->cells);
	*t = (struct table){.columns = t->columns};
}

static bool grow(struct table *t)
{
	size_t capacity = t->capacity ? t->capacity * 2 : 64;
	char **cells;

	if (t->count < t->capacity)
		return true;
	cells = realloc(t->cells, capacity * sizeof(*cells));
	if (!cells)
		return false;
	t->cells = cells;
	t->capacity = capacity;
	return true;
}

void table_add(struct table *t, const char *text)
{
	char *safe = t->failed ? NULL : text_safe(text);

	if (!safe || !grow(t)) {
		free(safe);
		t->failed = true;
		return;
	}
	t->cells[t->count++] = safe;
}

void table_printf(struct table *t, const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	if (text)
		table_add(t, text);
	else
		t->failed = true;
}

static void measure(const struct table *t, size_t widths[TABLE_COLUMNS_MAX])
{
	for (unsigned c = 0; c < t->columns; c++)
		widths[c] = t->titles ? text_width(t->titles[c]) : 0;
	for (size_t i = 0; i < t->count; i++) {
		size_t *width = &widths[i % t->columns];

		*width = MAX(*width, text_width(t->cells[i]));
	}
}

/* Columns left for the last one, SIZE_MAX without a limit. */
static size_t room_for_last(const struct table *t, const size_t widths[], size_t width)
{
	size_t used = 0;

	if (width == 0)
		return SIZE_MAX;
	for (unsigned c = 0; c + 1 < t->columns; c++)
		used += widths[c] + GAP;
	return used + LAST_MIN > width ? LAST_MIN : width - used;
}

static void print_last(const char *text, size_t room, FILE *to)
{
	static const char cut[] = "...";

	if (text_width(text) <= room)
		fputs(text, to);
	else
		fprintf(to, "%.*s%s", (int)text_fit(text, room - (sizeof(cut) - 1)), text, cut);
	fputc('\n', to);
}

/* Without spaces behind the last text of a row. */
static void print_row(const struct table *t, const char *const *cells, const size_t widths[], size_t room,
		      FILE *to)
{
	unsigned used = t->columns;

	while (used > 1 && !*cells[used - 1])
		used--;
	for (unsigned c = 0; c + 1 < used; c++)
		fprintf(to, "%s%*s", cells[c], (int)(widths[c] + GAP - text_width(cells[c])), "");
	print_last(cells[used - 1], used == t->columns ? room : SIZE_MAX, to);
}

void table_print(const struct table *t, FILE *to, size_t width)
{
	size_t widths[TABLE_COLUMNS_MAX], room;

	measure(t, widths);
	room = room_for_last(t, widths, width);
	if (t->titles)
		print_row(t, t->titles, widths, room, to);
	for (size_t row = 0; row + t->columns <= t->count; row += t->columns)
		print_row(t, (const char *const *)t->cells + row, widths, room, to);
}

size_t table_terminal_width(FILE *to)
{
	struct winsize size;

	if (!isatty(fileno(to)) || ioctl(fileno(to), TIOCGWINSZ, &size) < 0)
		return 0;
	return size.ws_col;
}

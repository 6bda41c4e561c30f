/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The pages about settings, from the same table that parses them: --help and the reference. Whatever a
 * setting accepts is described by one function, which also words the errors, so that no page can promise what
 * the parser refuses.
 */

#include "base/settings_text.h"

#include "base/bytes.h"

#include <ctype.h>
#include <stdio.h>

enum { HELP_COLUMN = 32, HELP_WIDTH = 100, TEXT_LIMIT = 4096 };

const struct settings_unit settings_duration_units[] = {
	{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {NULL, 0},
};

const struct settings_unit settings_size_units[] = {
	{"", 1}, {"k", (uint64_t)1 << 10}, {"M", (uint64_t)1 << 20}, {"G", (uint64_t)1 << 30}, {NULL, 0},
};

void settings_option_name(const struct setting *setting, char *text, size_t size)
{
	snprintf(text, size, "--%s%s%s", setting->section ? setting->section : "",
		 setting->section ? "-" : "", setting->name);
}

/* A value in the largest unit that divides it. */
static void add_scaled(struct buffer *to, uint64_t value, const struct settings_unit *units)
{
	const struct settings_unit *unit = units;

	if (!units) {
		buffer_printf(to, "%llu", (unsigned long long)value);
		return;
	}
	for (; units->name; units++)
		if (value && value % units->factor == 0)
			unit = units;
	buffer_printf(to, "%llu%s", (unsigned long long)(value / unit->factor), value ? unit->name : "");
}

static void add_range(struct buffer *to, const struct setting *setting, const struct settings_unit *units)
{
	if (setting->max) {
		buffer_str(to, " from ");
		add_scaled(to, setting->min, units);
		buffer_str(to, " to ");
		add_scaled(to, setting->max, units);
	} else if (setting->min) {
		buffer_str(to, " of at least ");
		add_scaled(to, setting->min, units);
	}
}

static void add_choices(struct buffer *to, const char *const *choices)
{
	buffer_str(to, "one of: ");
	for (size_t i = 0; choices[i]; i++)
		buffer_printf(to, "%s%s", i ? ", " : "", choices[i]);
}

static void add_description(struct buffer *to, const struct setting *setting)
{
	switch (setting->type) {
	case SETTING_BOOL:
		buffer_str(to, "yes or no");
		break;
	case SETTING_UINT:
		buffer_str(to, "a whole number");
		add_range(to, setting, NULL);
		break;
	case SETTING_DURATION:
		buffer_str(to, "a duration such as 250ms, 93s, 5m, 24h or 7d,");
		add_range(to, setting, settings_duration_units);
		break;
	case SETTING_SIZE:
		buffer_str(to, "a size such as 512, 64k, 16M or 4G,");
		add_range(to, setting, settings_size_units);
		break;
	case SETTING_STRING:
		buffer_str(to, "text");
		break;
	case SETTING_LIST:
		buffer_str(to, "a list, separated by commas or spaces");
		break;
	case SETTING_CHOICE:
		add_choices(to, setting->choices);
		break;
	}
	/* A unit without a range leaves its comma behind. */
	if (to->len && to->data[to->len - 1] == ',')
		to->data[--to->len] = '\0';
}

const char *settings_describe(const struct setting *setting, char *text, size_t size)
{
	_cleanup_buffer_ struct buffer description = buffer_of(TEXT_LIMIT);

	add_description(&description, setting);
	snprintf(text, size, "%s", description.data ? (const char *)description.data : "another value");
	return text;
}

/* --help */

/* The first sentence of a help text. */
static struct span first_sentence(const char *help)
{
	const char *end = strstr(help, ". ");

	return end ? span_of(help, (size_t)(end - help) + 1) : span_str(help);
}

/* Prints words from `column` on, wrapped, and ends the line. */
static void print_wrapped(FILE *to, struct span text, size_t column)
{
	size_t at = column;

	while (text.len) {
		const uint8_t *blank = memchr(text.data, ' ', text.len);
		size_t word = blank ? (size_t)(blank - text.data) : text.len;

		if (at > column && at + 1 + word > HELP_WIDTH) {
			fprintf(to, "\n%*s", (int)column, "");
			at = column;
		} else if (at > column) {
			fputc(' ', to);
			at++;
		}
		fwrite(text.data, 1, word, to);
		at += word;
		text = span_from(text, word + 1);
	}
	fputc('\n', to);
}

static void print_option(FILE *to, const struct setting *setting)
{
	_cleanup_buffer_ struct buffer help = buffer_of(TEXT_LIMIT);
	char name[80];
	int width;

	settings_option_name(setting, name, sizeof(name));
	width = setting->letter ? fprintf(to, "  -%c, %s", setting->letter, name)
				: fprintf(to, "      %s", name);
	if (setting->type != SETTING_BOOL)
		width += fprintf(to, " %s", setting->placeholder ? setting->placeholder : "VALUE");
	if (width + 2 > HELP_COLUMN)
		fprintf(to, "\n%*s", HELP_COLUMN, "");
	else
		fprintf(to, "%*s", HELP_COLUMN - width, "");
	buffer_bytes(&help, first_sentence(setting->help));
	if (setting->type == SETTING_CHOICE) {
		buffer_str(&help, " (");
		add_description(&help, setting);
		buffer_str(&help, ")");
	}
	/* That a switch is off unless given needs no words. */
	if (setting->fallback && *setting->fallback &&
	    (setting->type != SETTING_BOOL || strcmp(setting->fallback, "no") != 0))
		buffer_printf(&help, " [%s]", setting->fallback);
	print_wrapped(to, buffer_span(&help), HELP_COLUMN);
}

static bool same_section(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

void settings_print_help(const struct settings_schema *schema, FILE *to)
{
	fputs(schema->usage, to);
	for (size_t i = 0; i < schema->count; i++) {
		const char *section = schema->settings[i].section;

		if (i == 0 || !same_section(section, schema->settings[i - 1].section))
			fprintf(to, section ? "\n[%s]\n" : "\nOptions\n", section);
		print_option(to, &schema->settings[i]);
	}
}

/* The reference page. */

/* Text of a table's cell: a bar would end it. */
static void print_cell(FILE *to, const char *text)
{
	for (; *text; text++) {
		if (*text == '|')
			fputc('\\', to);
		fputc(*text == '\n' ? ' ' : *text, to);
	}
}

static void print_row(FILE *to, const struct setting *setting)
{
	char text[256];

	fprintf(to, "| `%s%s` | ", setting->section ? "" : "--", setting->name);
	print_cell(to, settings_describe(setting, text, sizeof(text)));
	fprintf(to, setting->fallback && *setting->fallback ? " | `%s` | " : " | | ", setting->fallback);
	print_cell(to, setting->help);
	fputs(" |\n", to);
}

static void print_upper(FILE *to, const char *text)
{
	for (; *text; text++)
		fputc(*text == '-' ? '_' : toupper((unsigned char)*text), to);
}

static void print_section(const struct settings_schema *schema, FILE *to, const char *section)
{
	if (section) {
		fprintf(to, "\n## [%s]\n\nOptions `--%s-NAME`, variables `%s_", section, section,
			schema->prefix);
		print_upper(to, section);
		fputs("_NAME`.\n", to);
	} else {
		fputs("\n## Command line only\n", to);
	}
	fputs("\n| name | value | default | meaning |\n| --- | --- | --- | --- |\n", to);
}

void settings_print_reference(const struct settings_schema *schema, FILE *to)
{
	fprintf(to, "# Settings of %s\n\n", schema->program);
	fprintf(to,
		"This page is generated from the program's own table. A setting can stand in the file, in "
		"the environment\n"
		"(`%s_SECTION_NAME`, in capitals, `-` as `_`) and on the command line (`--section-name`); "
		"the later of\n"
		"these wins. A switch is turned off by `--no-section-name`.\n",
		schema->prefix);
	for (size_t i = 0; i < schema->count; i++) {
		const char *section = schema->settings[i].section;

		if (i == 0 || !same_section(section, schema->settings[i - 1].section))
			print_section(schema, to, section);
		print_row(to, &schema->settings[i]);
	}
}

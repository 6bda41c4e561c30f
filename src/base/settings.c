/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Settings from four sources by one table. Every source comes down to "this setting, this text, said here",
 * and one function per type turns the text into the value; so the default in the table, the file, the
 * environment and the command line can never disagree about a notation, and the error says the same
 * everywhere.
 *
 * The file is read line by line here and its grammar is inih's: that gives each error its line, and keeps
 * inih's silent habits (cutting long lines, taking indented ones for continuations) from the user.
 *
 * Leaves out --help and the reference page, which are in settings_text.c.
 */

#include "base/settings.h"

#include "base/bytes.h"
#include "base/settings_text.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

enum { NAME_MAX_LENGTH = 80 };

/* Where a value was found, as the errors name it, and where they go. */
struct origin {
	FILE *error; /* NULL: say nothing */
	const char *program;
	const char *path; /* of the file, or NULL */
	unsigned line;
	const char *name; /* as the user wrote it, or would: "--http-listen", "SHOAL_HTTP_LISTEN", "[http]
			     listen" */
};

static int complain(const struct origin *at, const char *format, ...) PRINTF_LIKE(2, 3);

static int complain(const struct origin *at, const char *format, ...)
{
	va_list args;

	if (!at->error)
		return -EINVAL;
	if (at->path && at->line)
		fprintf(at->error, "%s:%u: ", at->path, at->line);
	else
		fprintf(at->error, "%s: ", at->path ? at->path : at->program);
	va_start(args, format);
	vfprintf(at->error, format, args);
	va_end(args);
	fputc('\n', at->error);
	return -EINVAL;
}

/* One text into one value. Each returns false if the text is none of its type. */

static bool parse_bool(struct span text, uint64_t *value)
{
	static const struct {
		const char *word;
		bool value;
	} words[] = {{"yes", true}, {"no", false},  {"true", true}, {"false", false},
		     {"on", true},  {"off", false}, {"1", true},    {"0", false}};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (!span_is(text, words[i].word))
			continue;
		*value = words[i].value;
		return true;
	}
	return false;
}

/* Digits and one of the units; no unit stands for a factor of 1, unless `units` has none such. */
static bool parse_scaled(struct span text, const struct settings_unit *units, uint64_t *value)
{
	size_t digits = 0;
	struct span unit;
	uint64_t number;

	while (digits < text.len && isdigit(text.data[digits]))
		digits++;
	unit = span_from(text, digits);
	if (!span_to_uint(span_of(text.data, digits), UINT64_MAX, &number))
		return false;
	for (; units->name; units++) {
		if (!span_is(unit, units->name) || number > UINT64_MAX / units->factor)
			continue;
		*value = number * units->factor;
		return true;
	}
	/* Nothing of something needs no unit. */
	*value = 0;
	return number == 0 && unit.len == 0;
}

static bool parse_choice(const struct setting *setting, struct span text, uint64_t *value)
{
	for (unsigned i = 0; setting->choices[i]; i++) {
		if (!span_is(text, setting->choices[i]))
			continue;
		*value = i;
		return true;
	}
	return false;
}

static bool parse_number(const struct setting *setting, struct span text, uint64_t *value)
{
	switch (setting->type) {
	case SETTING_BOOL:
		return parse_bool(text, value);
	case SETTING_UINT:
		return span_to_uint(text, UINT64_MAX, value);
	case SETTING_DURATION:
		return parse_scaled(text, settings_duration_units, value);
	case SETTING_SIZE:
		return parse_scaled(text, settings_size_units, value);
	case SETTING_CHOICE:
		return parse_choice(setting, text, value);
	case SETTING_STRING:
	case SETTING_LIST:
		break;
	}
	return false;
}

static bool is_text(const struct setting *setting)
{
	return setting->type == SETTING_STRING || setting->type == SETTING_LIST;
}

static void *value_of(const struct setting *setting, void *out)
{
	return (char *)out + setting->offset;
}

static int store_text(const struct setting *setting, void *out, struct span text)
{
	char **at = value_of(setting, out);
	char *copy = span_dup(text);

	if (!copy)
		return -ENOMEM;
	free(*at);
	*at = copy;
	return 0;
}

static void store_number(const struct setting *setting, void *out, uint64_t value)
{
	void *at = value_of(setting, out);

	if (setting->type == SETTING_BOOL)
		*(bool *)at = value;
	else if (setting->type == SETTING_CHOICE)
		*(unsigned *)at = (unsigned)value;
	else
		*(uint64_t *)at = value;
}

/* The bounds hold for numbers with a range; `max` 0 stands for none. */
static bool in_range(const struct setting *setting, uint64_t value)
{
	if (setting->type == SETTING_BOOL || setting->type == SETTING_CHOICE)
		return true;
	return value >= setting->min && (setting->max == 0 || value <= setting->max);
}

static int set_value(const struct setting *setting, void *out, const char *text, const struct origin *at)
{
	char expected[256];
	uint64_t value;

	if (is_text(setting))
		return store_text(setting, out, span_str(text));
	if (!parse_number(setting, span_str(text), &value) || !in_range(setting, value))
		return complain(at, "%s = \"%s\": expected %s", at->name, text,
				settings_describe(setting, expected, sizeof(expected)));
	store_number(setting, out, value);
	return 0;
}

int settings_init(const struct settings_schema *schema, void *out)
{
	const struct origin nowhere = {.program = schema->program};

	for (size_t i = 0; i < schema->count; i++) {
		const struct setting *setting = &schema->settings[i];

		if (is_text(setting))
			*(char **)value_of(setting, out) = NULL;
		else
			store_number(setting, out, 0);
	}
	for (size_t i = 0; i < schema->count; i++) {
		const struct setting *setting = &schema->settings[i];
		int rc = setting->fallback ? set_value(setting, out, setting->fallback, &nowhere) : 0;

		/* A default that its own setting does not accept is an error in the table. */
		assert(rc != -EINVAL);
		if (rc < 0) {
			settings_deinit(schema, out);
			return rc;
		}
	}
	return 0;
}

void settings_deinit(const struct settings_schema *schema, void *out)
{
	for (size_t i = 0; i < schema->count; i++) {
		char **at = value_of(&schema->settings[i], out);

		if (!is_text(&schema->settings[i]))
			continue;
		free(*at);
		*at = NULL;
	}
}

bool settings_list_next(const char **cursor, struct span *item)
{
	if (!*cursor)
		return false;
	*cursor += strspn(*cursor, ", \t");
	*item = span_of(*cursor, strcspn(*cursor, ", \t"));
	*cursor += item->len;
	return item->len > 0;
}

/*
 * Unknown names. The distance is the number of letters to insert, remove or replace; a name is near if no
 * more than a third of it has to change.
 */

static size_t distance(const char *a, const char *b)
{
	size_t row[NAME_MAX_LENGTH + 1];
	size_t a_len = strlen(a), b_len = strlen(b);

	if (a_len > NAME_MAX_LENGTH || b_len > NAME_MAX_LENGTH)
		return SIZE_MAX;
	for (size_t j = 0; j <= b_len; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			size_t replace = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			row[j] = MIN(replace, MIN(row[j], row[j - 1]) + 1);
		}
	}
	return row[b_len];
}

/* How a source writes a setting's name; false if it has none there. */
typedef bool spell_fn(const struct settings_schema *schema, const struct setting *setting,
		      char name[NAME_MAX_LENGTH]);

static bool spell_variable(const struct settings_schema *schema, const struct setting *setting,
			   char name[NAME_MAX_LENGTH])
{
	if (!setting->section)
		return false;
	snprintf(name, NAME_MAX_LENGTH, "%s_%s_%s", schema->prefix, setting->section, setting->name);
	for (char *c = name; *c; c++)
		*c = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
	return true;
}

static bool spell_option(const struct settings_schema *schema, const struct setting *setting,
			 char name[NAME_MAX_LENGTH])
{
	(void)schema;
	settings_option_name(setting, name, NAME_MAX_LENGTH);
	return true;
}

static bool spell_line(const struct settings_schema *schema, const struct setting *setting,
		       char name[NAME_MAX_LENGTH])
{
	(void)schema;
	if (!setting->section)
		return false;
	snprintf(name, NAME_MAX_LENGTH, "[%s] %s", setting->section, setting->name);
	return true;
}

/* The setting that is called exactly `name`, or NULL. */
static const struct setting *find_setting(const struct settings_schema *schema, spell_fn *spell,
					  const char *name)
{
	char known[NAME_MAX_LENGTH];

	for (size_t i = 0; i < schema->count; i++)
		if (spell(schema, &schema->settings[i], known) && strcmp(known, name) == 0)
			return &schema->settings[i];
	return NULL;
}

/* Writes the nearest known name. False if none is near. The first `common` letters are the same anyway. */
static bool find_near(const struct settings_schema *schema, spell_fn *spell, const char *name, size_t common,
		      char near[NAME_MAX_LENGTH])
{
	size_t best = MAX(strlen(name) - common, (size_t)3) / 3 + 1;
	char known[NAME_MAX_LENGTH];
	bool found = false;

	for (size_t i = 0; i < schema->count; i++) {
		size_t d;

		if (!spell(schema, &schema->settings[i], known))
			continue;
		d = distance(known, name);
		if (d >= best)
			continue;
		best = d;
		found = true;
		strcpy(near, known);
	}
	return found;
}

static int complain_unknown(const struct settings_schema *schema, spell_fn *spell, size_t common,
			    const char *kind, const struct origin *at)
{
	char near[NAME_MAX_LENGTH];

	if (find_near(schema, spell, at->name, common, near))
		return complain(at, "unknown %s %s; did you mean %s?", kind, at->name, near);
	return complain(at, "unknown %s %s", kind, at->name);
}

/* The file. */

struct file {
	const struct settings_schema *schema;
	void *out;
	FILE *stream;
	char *text; /* the line at hand, of getline */
	size_t text_size;
	unsigned *first_line; /* of each setting, 0: not yet seen */
	struct origin at;
	int rc; /* first error */
};

static void note(struct file *file, int rc)
{
	if (rc < 0 && file->rc == 0)
		file->rc = rc;
}

static bool is_known_section(const struct settings_schema *schema, struct span name)
{
	for (size_t i = 0; i < schema->count; i++)
		if (schema->settings[i].section && span_is(name, schema->settings[i].section))
			return true;
	return false;
}

static void check_section(struct file *file, const char *line, const char *end)
{
	struct span name = span_of(line + 1, (size_t)(end - line - 1));
	char text[NAME_MAX_LENGTH], near[NAME_MAX_LENGTH] = "";
	size_t best = name.len / 3 + 2;

	if (is_known_section(file->schema, name))
		return;
	snprintf(text, sizeof(text), "%.*s", (int)MIN(name.len, sizeof(text) - 1), name.data);
	for (size_t i = 0; i < file->schema->count; i++) {
		const char *known = file->schema->settings[i].section;

		if (!known || distance(known, text) >= best)
			continue;
		best = distance(known, text);
		snprintf(near, sizeof(near), "; did you mean [%s]?", known);
	}
	note(file, complain(&file->at, "unknown section [%s]%s", text, near));
}

/* What is wrong with a line that inih would cut, skip or misread; NULL if nothing is. */
static const char *find_fault(const char *line, size_t len, size_t room)
{
	if (strlen(line) != len)
		return "the line contains a NUL character";
	if (len >= room)
		return "the line is too long";
	if (line[0] == '[' && !strchr(line, ']'))
		return "the section's name has no closing \"]\"";
	if (!strchr("[;#", line[0]) && (line[0] == '=' || !strpbrk(line, "=:")))
		return "expected \"name = value\", \"[section]\" or a comment";
	return NULL;
}

/* inih's fgets. A line with a fault is reported and passed on as an empty one. */
static char *next_line(char *to, int size, void *stream)
{
	struct file *file = stream;
	ssize_t len = getline(&file->text, &file->text_size, file->stream);
	const char *line = file->text, *fault;
	size_t left;

	if (len < 0)
		return NULL;
	left = (size_t)len;
	file->at.line++;
	if (file->at.line == 1 && left >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) {
		line += 3;
		left -= 3;
	}
	while (left && isspace((unsigned char)line[left - 1]))
		left--;
	file->text[line - file->text + (ptrdiff_t)left] = '\0';
	/* An indented line is no continuation. */
	for (; left && isspace((unsigned char)*line); left--)
		line++;
	fault = find_fault(line, left, (size_t)size - 2);
	if (fault)
		note(file, complain(&file->at, "%s", fault));
	else if (line[0] == '[')
		check_section(file, line, strchr(line, ']'));
	snprintf(to, (size_t)size, "%s\n", fault ? "" : line);
	return to;
}

/* Adds a further line of a list to what its earlier lines gave. */
static int append_list(const struct setting *setting, void *out, const char *text)
{
	struct buffer joined = buffer_of(1 << 20);
	char **at = value_of(setting, out);

	buffer_printf(&joined, "%s %s", *at, text);
	if (joined.failed) {
		buffer_deinit(&joined);
		return -ENOMEM;
	}
	free(*at);
	*at = (char *)joined.data;
	return 0;
}

static int set_from_file(struct file *file, const struct setting *setting, const char *value)
{
	unsigned *first = &file->first_line[setting - file->schema->settings];

	if (*first && setting->type == SETTING_LIST)
		return append_list(setting, file->out, value);
	if (*first)
		return complain(&file->at, "%s was already set in line %u", file->at.name, *first);
	*first = file->at.line;
	return set_value(setting, file->out, value, &file->at);
}

/* inih's handler. Returns 1 in any case: errors are kept here, so that the rest of the file is read too. */
static int take_pair(void *user, const char *section, const char *name, const char *value)
{
	struct file *file = user;
	const struct setting *setting;
	char full[NAME_MAX_LENGTH * 2];

	/* An unknown section was reported where it began. */
	if (*section && !is_known_section(file->schema, span_str(section)))
		return 1;
	snprintf(full, sizeof(full), "[%s] %s", section, name);
	file->at.name = full;
	setting = find_setting(file->schema, spell_line, full);
	if (!*section)
		note(file, complain(&file->at, "%s stands before the first [section]", name));
	else if (setting)
		note(file, set_from_file(file, setting, value));
	else
		note(file, complain_unknown(file->schema, spell_line, 0, "setting", &file->at));
	return 1;
}

static int read_file(struct file *file)
{
	int rc = ini_parse_stream(next_line, file, take_pair, file);

	if (ferror(file->stream)) {
		rc = -errno;
		file->at.line = 0;
		complain(&file->at, "cannot read: %s", strerror(-rc));
		return rc;
	}
	if (rc > 0 && file->rc == 0) {
		file->at.line = (unsigned)rc;
		note(file, complain(&file->at, "the line is not understood"));
	}
	return rc < 0 ? -ENOMEM : file->rc;
}

int settings_load_file(const struct settings_schema *schema, void *out, const char *path, FILE *error)
{
	struct file file = {.schema = schema,
			    .out = out,
			    .stream = fopen(path, "re"),
			    .at = {.error = error, .program = schema->program, .path = path}};
	int rc;

	if (!file.stream) {
		rc = -errno;
		if (rc != -ENOENT)
			complain(&file.at, "cannot open: %s", strerror(-rc));
		return rc;
	}
	file.first_line = calloc(schema->count, sizeof(*file.first_line));
	rc = file.first_line ? read_file(&file) : -ENOMEM;
	free(file.first_line);
	free(file.text);
	fclose(file.stream);
	return rc;
}

/* The environment. */

static int take_variable(const struct settings_schema *schema, void *out, const char *name, const char *value,
			 FILE *error)
{
	const struct origin at = {.error = error, .program = schema->program, .name = name};
	const struct setting *setting = find_setting(schema, spell_variable, name);
	size_t common = strlen(schema->prefix) + 1;
	char near[NAME_MAX_LENGTH];

	if (setting)
		return set_value(setting, out, value, &at);
	if (find_near(schema, spell_variable, name, common, near))
		return complain_unknown(schema, spell_variable, common, "variable", &at);
	return 0;
}

int settings_load_environment(const struct settings_schema *schema, void *out, FILE *error)
{
	size_t prefix = strlen(schema->prefix);
	int first = 0;

	for (char **entry = environ; entry && *entry; entry++) {
		const char *equals = strchr(*entry, '=');
		_cleanup_free_ char *name = NULL;
		int rc;

		if (!equals || strncmp(*entry, schema->prefix, prefix) != 0 || (*entry)[prefix] != '_')
			continue;
		name = span_dup(span_of(*entry, (size_t)(equals - *entry)));
		rc = name ? take_variable(schema, out, name, equals + 1, error) : -ENOMEM;
		if (rc < 0 && first == 0)
			first = rc;
	}
	return first;
}

/* The command line. */

struct arguments {
	const struct settings_schema *schema;
	void *out;
	int left;
	char **next;
	struct origin at;
};

/* The value of an option: what follows "=" or the letter, or else the next argument. */
static int take_value(struct arguments *args, const struct setting *setting, const char *attached)
{
	if (attached)
		return set_value(setting, args->out, attached, &args->at);
	if (setting->type == SETTING_BOOL)
		return set_value(setting, args->out, "yes", &args->at);
	if (args->left == 0)
		return complain(&args->at, "%s needs a value", args->at.name);
	args->left--;
	return set_value(setting, args->out, *args->next++, &args->at);
}

/* --no-NAME of a bool. */
static const struct setting *find_negated(const struct settings_schema *schema, const char *option)
{
	char name[NAME_MAX_LENGTH];
	const struct setting *setting;

	if (strncmp(option, "--no-", 5) != 0 || strlen(option) >= sizeof(name))
		return NULL;
	snprintf(name, sizeof(name), "--%s", option + 5);
	setting = find_setting(schema, spell_option, name);
	return setting && setting->type == SETTING_BOOL ? setting : NULL;
}

static int take_long(struct arguments *args, const char *argument)
{
	const char *equals = strchr(argument, '=');
	_cleanup_free_ char *name =
		span_dup(span_of(argument, equals ? (size_t)(equals - argument) : strlen(argument)));
	const struct setting *setting;

	if (!name)
		return -ENOMEM;
	args->at.name = name;
	setting = find_setting(args->schema, spell_option, name);
	if (setting)
		return take_value(args, setting, equals ? equals + 1 : NULL);
	setting = find_negated(args->schema, name);
	if (setting && equals)
		return complain(&args->at, "%s takes no value", name);
	if (setting)
		return set_value(setting, args->out, "no", &args->at);
	return complain_unknown(args->schema, spell_option, 2, "option", &args->at);
}

static int take_letters(struct arguments *args, const char *argument)
{
	char name[3] = "-";

	args->at.name = name;
	for (const char *c = argument + 1; *c; c++) {
		const struct setting *setting = NULL;
		int rc;

		name[1] = *c;
		for (size_t i = 0; i < args->schema->count && !setting; i++)
			if (args->schema->settings[i].letter == *c)
				setting = &args->schema->settings[i];
		if (!setting)
			return complain(&args->at, "unknown option %s", name);
		if (setting->type != SETTING_BOOL)
			return take_value(args, setting, c[1] ? c + 1 : NULL);
		rc = take_value(args, setting, NULL);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int settings_load_arguments(const struct settings_schema *schema, void *out, int argc, char **argv,
			    FILE *error)
{
	struct arguments args = {.schema = schema,
				 .out = out,
				 .left = argc,
				 .next = argv,
				 .at = {.error = error, .program = schema->program}};
	int first = 0;

	while (args.left > 0) {
		const char *argument = *args.next++;
		int rc;

		args.left--;
		if (strncmp(argument, "--", 2) == 0 && argument[2])
			rc = take_long(&args, argument);
		else if (argument[0] == '-' && argument[1] && argument[1] != '-')
			rc = take_letters(&args, argument);
		else
			rc = complain(&args.at, "unexpected argument \"%s\"", argument);
		if (rc < 0 && first == 0)
			first = rc;
	}
	return first;
}

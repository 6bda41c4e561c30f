/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* A file of credentials: each line is told of once and in order, and what is taken can be stored. */

#include "fuzz.h"

#include "security/credential_text.h"

static void row(const struct credential_columns *columns, const struct csv_row *fields)
{
	const struct credential_text text = credential_columns_take(columns, fields);
	_cleanup_credential_ struct credential_input input;

	if (!credential_from_text(&text, &input))
		assert(!credential_check(&input.credential));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_copy_ struct span text = fuzz_copy(span_of(data, size));
	struct credential_columns columns;
	struct csv *csv = malloc(sizeof(*csv)); /* so that a field beyond its room is found */
	struct csv_row fields;
	enum csv_result result;
	const char *why = NULL;
	bool head = true, named = false;
	size_t line = 0;

	assert(csv);
	csv_init(csv, text);
	while ((result = csv_next(csv, &fields, &why)) != CSV_END) {
		assert(fields.line > line && fields.count <= CSV_FIELDS_MAX);
		line = fields.line;
		assert(result == CSV_ROW || why);
		for (size_t i = 0; result == CSV_ROW && i < fields.count; i++)
			assert(fuzz_within(fields.fields[i], span_of(csv->row, sizeof(csv->row))));
		if (result == CSV_ROW && head)
			named = !credential_columns_read(&fields, &columns);
		else if (result == CSV_ROW && named)
			row(&columns, &fields);
		head = false;
	}
	free(csv);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "security/credential_text.h"
#include "security/tokens.h"

/* Bodies of the routes of security. Both return what is wrong, in words; NULL: nothing. */

/* A SecurityInfo. `rotate`: the query says so; the body may as well. */
const char *security_info_parse(struct span body, bool rotate, struct credential_input *out);

struct token_request {
	enum token_role role;
	char name[TOKEN_NAME_MAX + 1];
	uint64_t expires_ms; /* Unix time, in the future; 0: never */
};
const char *token_request_parse(struct span body, uint64_t now_ms, struct token_request *out);

/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Documents of credentials and tokens: what can be read is written alike. Certificates: names are endpoints.
 */

#include "fuzz.h"

#include "security/certificate.h"
#include "security/credential_doc.h"
#include "security/tokens.h"

static bool list(struct span s, struct writer *w)
{
	struct credential_list l;

	if (credential_list_decode(s, &l))
		return false;
	credential_list_encode(&l, w);
	return true;
}

static bool owner(struct span s, struct writer *w)
{
	struct credential_owner o;

	if (credential_owner_decode(s, &o))
		return false;
	assert(fuzz_within(o.endpoint, s) && fuzz_within(o.sealed, s));
	credential_owner_encode(&o, w);
	return true;
}

static bool token(struct span s, struct writer *w)
{
	struct token t;

	if (token_decode(s, &t))
		return false;
	assert(token_role_name(t.role) && strlen(t.name) <= TOKEN_NAME_MAX);
	token_encode(&t, w);
	return true;
}

static void certificate(struct span der)
{
	struct certificate_rules rules;
	struct certificate_names names;
	struct public_key key;
	char words[CERTIFICATE_WORDS];
	int err = certificate_rules_parse("san,cn:*a,serial", &rules, words);

	assert(err == 0);
	if (public_key_parse(der, &key) == 0)
		assert(key.x_len <= sizeof(key.x) && key.y_len <= sizeof(key.y));
	if (certificate_endpoints(der, &rules, &names))
		return;
	for (size_t i = 0; i < names.count; i++) {
		struct span name = certificate_name(&names, i);

		assert(name.len && !memchr(name.data, 0, name.len));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool (*const rewrites[])(struct span s, struct writer * w) = {list, owner, token};
	struct reader r = reader_of(span_of(data, size));
	uint8_t which = reader_u8(&r) % (ARRAY_SIZE(rewrites) + 1);
	_cleanup_copy_ struct span rest = fuzz_copy(reader_rest(&r));
	uint8_t bytes[CREDENTIAL_OWNER_BYTES];
	struct writer w = writer_of(bytes, sizeof(bytes));

	if (which == ARRAY_SIZE(rewrites))
		certificate(rest);
	else if (rewrites[which](rest, &w))
		assert(!w.failed && span_equal(writer_span(&w), rest));
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Certificates to names. What the hard part is: a name in a certificate is bytes of whoever made it. GnuTLS
 * parses the certificate; lengths are its own (no strlen, so "a\0.evil" is not "a"), and what has a NUL, is
 * empty or too long is no endpoint. Matching is by prefix and suffix.
 */

#include "security/certificate.h"

#include "security/hex.h"

#include <errno.h>
#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <stdio.h>

/* ---- rules ---- */

static const char *const sources[] = {[SOURCE_CN] = "cn",
				      [SOURCE_SAN] = "san",
				      [SOURCE_SAN_DNS] = "san-dns",
				      [SOURCE_SAN_URI] = "san-uri",
				      [SOURCE_SAN_OTHER] = "san-other",
				      [SOURCE_SERIAL] = "serial"};

static bool find_source(struct span name, enum certificate_source *out)
{
	for (unsigned i = 0; i < ARRAY_SIZE(sources); i++) {
		if (span_is(name, sources[i])) {
			*out = (enum certificate_source)i;
			return true;
		}
	}
	return false;
}

static struct span part_until(struct span *left, uint8_t separator)
{
	const uint8_t *at = left->len ? memchr(left->data, separator, left->len) : NULL;
	struct span part = at ? span_of(left->data, (size_t)(at - left->data)) : *left;

	*left = at ? span_from(*left, part.len + 1) : span_of(NULL, 0);
	return part;
}

static struct span trim(struct span s)
{
	while (s.len && s.data[0] == ' ')
		s = span_from(s, 1);
	while (s.len && s.data[s.len - 1] == ' ')
		s.len--;
	return s;
}

static const char *parse_rule(struct span text, struct certificate_rule *out)
{
	bool has_pattern = text.len && memchr(text.data, ':', text.len);
	struct span source = part_until(&text, ':'), before;

	if (!find_source(source, &out->source))
		return "a rule begins with cn, san, san-dns, san-uri, san-other or serial";
	if (!has_pattern)
		return NULL;
	if (!text.len || !memchr(text.data, '*', text.len))
		return "a pattern has one *, which stands for the endpoint";
	before = part_until(&text, '*');
	if (text.len && memchr(text.data, '*', text.len))
		return "a pattern has one *, not more";
	if (before.len >= CERTIFICATE_PATTERN_MAX || text.len >= CERTIFICATE_PATTERN_MAX)
		return "a pattern is too long";
	if (before.len)
		memcpy(out->before, before.data, before.len);
	if (text.len)
		memcpy(out->behind, text.data, text.len);
	return NULL;
}

int certificate_rules_parse(const char *text, struct certificate_rules *out, char words[CERTIFICATE_WORDS])
{
	struct span left = span_str(text);
	const char *wrong = NULL;

	*out = (struct certificate_rules){0};
	while (left.len && !wrong) {
		struct span rule = trim(part_until(&left, ','));

		if (out->count == CERTIFICATE_RULES_MAX)
			wrong = "there are more than 8 rules";
		else
			wrong = parse_rule(rule, &out->items[out->count++]);
	}
	if (!wrong && !out->count)
		wrong = "there is no rule";
	if (wrong)
		snprintf(words, CERTIFICATE_WORDS, "%s", wrong);
	return wrong ? -EINVAL : 0;
}

/* ---- names ---- */

struct collecting {
	const struct certificate_rule *rule;
	struct certificate_names *out;
};

static bool is_there(const struct certificate_names *n, struct span name)
{
	for (size_t i = 0; i < n->count; i++) {
		if (span_equal(certificate_name(n, i), name))
			return true;
	}
	return false;
}

static bool cut(struct span *name, const struct certificate_rule *rule)
{
	size_t before = strlen(rule->before), behind = strlen(rule->behind);

	if (name->len < before + behind || memcmp(name->data, rule->before, before) ||
	    memcmp(name->data + name->len - behind, rule->behind, behind))
		return false;
	*name = span_of(name->data + before, name->len - before - behind);
	return true;
}

static void collect(struct collecting *c, struct span name)
{
	struct certificate_names *n = c->out;

	if (!name.len || !cut(&name, c->rule) || !name.len || name.len > CERTIFICATE_NAME_MAX ||
	    memchr(name.data, 0, name.len) || is_there(n, name) || n->count == CERTIFICATE_NAMES_MAX)
		return;
	memcpy(n->items[n->count].bytes, name.data, name.len);
	n->items[n->count++].len = (uint8_t)name.len;
}

enum { VALUE_MAX = 1024 };

static void collect_cn(struct collecting *c, gnutls_x509_crt_t crt)
{
	char value[VALUE_MAX];

	for (unsigned i = 0; i < CERTIFICATE_NAMES_MAX; i++) {
		size_t len = sizeof(value);

		if (gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, i, 0, value, &len))
			return;
		collect(c, span_of(value, len));
	}
}

/* An otherName's value is DER: UTF8String, PrintableString or IA5String with a short or two-byte length. */
static struct span other_text(struct span der)
{
	struct reader r = reader_of(der);
	uint8_t tag = reader_u8(&r);
	size_t len = reader_u8(&r);

	if (len == 0x81)
		len = reader_u8(&r);
	else if (len > 0x7f)
		return (struct span){NULL, 0};
	if ((tag != 0x0c && tag != 0x13 && tag != 0x16) || reader_left(&r) != len)
		return (struct span){NULL, 0};
	return reader_bytes(&r, len);
}

static bool is_wanted(enum certificate_source source, unsigned type)
{
	switch (type) {
	case GNUTLS_SAN_DNSNAME:
		return source == SOURCE_SAN || source == SOURCE_SAN_DNS;
	case GNUTLS_SAN_URI:
		return source == SOURCE_SAN || source == SOURCE_SAN_URI;
	case GNUTLS_SAN_OTHERNAME:
		return source == SOURCE_SAN || source == SOURCE_SAN_OTHER;
	}
	return false;
}

static void collect_san(struct collecting *c, gnutls_x509_crt_t crt)
{
	for (unsigned i = 0; i < 4 * CERTIFICATE_NAMES_MAX; i++) {
		char value[VALUE_MAX];
		size_t len = sizeof(value);
		unsigned type = 0;
		int rc = gnutls_x509_crt_get_subject_alt_name2(crt, i, value, &len, &type, NULL);

		if (rc == GNUTLS_E_SHORT_MEMORY_BUFFER)
			continue;
		if (rc < 0)
			return;
		if (is_wanted(c->rule->source, (unsigned)rc))
			collect(c, rc == GNUTLS_SAN_OTHERNAME ? other_text(span_of(value, len))
							      : span_of(value, len));
	}
}

static void collect_serial(struct collecting *c, gnutls_x509_crt_t crt)
{
	uint8_t serial[64];
	char text[2 * sizeof(serial) + 1];
	size_t len = sizeof(serial);

	if (gnutls_x509_crt_get_serial(crt, serial, &len))
		return;
	hex_encode(span_of(serial, len), text);
	collect(c, span_str(text));
}

static void deinit_crt(gnutls_x509_crt_t *crt)
{
	if (*crt)
		gnutls_x509_crt_deinit(*crt);
}

static int import_crt(struct span der, gnutls_x509_crt_t *crt)
{
	gnutls_datum_t datum = {(unsigned char *)der.data, (unsigned)der.len};

	if (!der.len || der.len > CERTIFICATE_DER_MAX)
		return -EBADMSG;
	if (gnutls_x509_crt_init(crt))
		return -ENOMEM;
	return gnutls_x509_crt_import(*crt, &datum, GNUTLS_X509_FMT_DER) ? -EBADMSG : 0;
}

int certificate_endpoints(struct span der, const struct certificate_rules *rules,
			  struct certificate_names *out)
{
	_cleanup_(deinit_crt) gnutls_x509_crt_t crt = NULL;
	int err = import_crt(der, &crt);

	*out = (struct certificate_names){0};
	for (size_t i = 0; !err && i < rules->count; i++) {
		struct collecting c = {&rules->items[i], out};

		if (c.rule->source == SOURCE_CN)
			collect_cn(&c, crt);
		else if (c.rule->source == SOURCE_SERIAL)
			collect_serial(&c, crt);
		else
			collect_san(&c, crt);
	}
	return err;
}

/* ---- public keys ---- */

static void deinit_pubkey(gnutls_pubkey_t *key)
{
	if (*key)
		gnutls_pubkey_deinit(*key);
}

/* Without leading zeros, as a number. */
static size_t take_number(gnutls_datum_t *from, uint8_t *to, size_t room)
{
	struct span number = span_of(from->data, from->size);

	while (number.len > 1 && !number.data[0])
		number = span_from(number, 1);
	number.len = MIN(number.len, room);
	if (number.len)
		memcpy(to, number.data, number.len);
	gnutls_free(from->data);
	return number.len;
}

int public_key_parse(struct span spki, struct public_key *out)
{
	_cleanup_(deinit_pubkey) gnutls_pubkey_t key = NULL;
	gnutls_datum_t datum = {(unsigned char *)spki.data, (unsigned)spki.len}, x, y;
	gnutls_ecc_curve_t curve;

	*out = (struct public_key){0};
	if (!spki.len || spki.len > CERTIFICATE_DER_MAX)
		return -EBADMSG;
	if (gnutls_pubkey_init(&key))
		return -ENOMEM;
	if (gnutls_pubkey_import(key, &datum, GNUTLS_X509_FMT_DER))
		return -EBADMSG;
	if (gnutls_pubkey_get_pk_algorithm(key, NULL) != GNUTLS_PK_ECDSA ||
	    gnutls_pubkey_export_ecc_raw2(key, &curve, &x, &y, 0))
		return -ENOTSUP;
	out->curve = gnutls_ecc_curve_get_name(curve);
	out->x_len = take_number(&x, out->x, sizeof(out->x));
	out->y_len = take_number(&y, out->y, sizeof(out->y));
	return 0;
}

int certificate_public_key(struct span der, struct buffer *spki)
{
	_cleanup_(deinit_crt) gnutls_x509_crt_t crt = NULL;
	_cleanup_(deinit_pubkey) gnutls_pubkey_t key = NULL;
	gnutls_datum_t out = {NULL, 0};
	int err = import_crt(der, &crt);

	if (err)
		return err;
	if (gnutls_pubkey_init(&key))
		return -ENOMEM;
	if (gnutls_pubkey_import_x509(key, crt, 0) || gnutls_pubkey_export2(key, GNUTLS_X509_FMT_DER, &out))
		return -EBADMSG;
	buffer_bytes(spki, span_of(out.data, out.size));
	gnutls_free(out.data);
	return spki->failed ? -ENOMEM : 0;
}

int certificate_pair_check(struct span chain_pem, struct span key_pem, char words[CERTIFICATE_WORDS])
{
	gnutls_datum_t chain = {(unsigned char *)chain_pem.data, (unsigned)chain_pem.len};
	gnutls_datum_t key = {(unsigned char *)key_pem.data, (unsigned)key_pem.len};
	gnutls_certificate_credentials_t both;
	int rc;

	if (gnutls_certificate_allocate_credentials(&both))
		return -ENOMEM;
	rc = gnutls_certificate_set_x509_key_mem(both, &chain, &key, GNUTLS_X509_FMT_PEM);
	gnutls_certificate_free_credentials(both);
	if (rc < 0)
		snprintf(words, CERTIFICATE_WORDS, "%s", gnutls_strerror(rc));
	return rc < 0 ? -EINVAL : 0;
}

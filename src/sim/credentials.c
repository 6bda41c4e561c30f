/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Credentials of a fleet. The hard idea is that a hundred thousand of them are not stored: a key is
 * HMAC-SHA256 of a master key and the device's name, so server and simulator can be given the same ones by a
 * file that --write-credentials writes, while the simulator itself needs no file.
 *
 * A context of the handshake is shared where all devices have the same one (PSK; one key or certificate for
 * all), and else made for each handshake: it costs more memory than all else that a device has.
 */

#include "sim/credentials.h"

#include "sim/names.h"
#include "sim/rawkey.h"
#include "sim/rows.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/hmac.h>
#include <unistd.h>

enum { FILE_LIMIT = 1 << 20, PSK_DERIVED = 16, SPKI_MAX = 512 };

struct credentials {
	const struct sim_options *options;
	struct credential_rows rows;  /* of --psk-file */
	struct dtls_context *context; /* of all devices, or NULL: each has its own */
	char *identity;		      /* --psk: the part before the colon */
	size_t master_len;
	uint8_t master[DTLS_PSK_MAX]; /* --psk, --raw-keys */
	struct buffer trust;
};

/* ---- files ---- */

/* Of one device, if the path has {ep} in it. */
static int read_named(const char *pattern, const char *name, struct buffer *out)
{
	char path[NAME_EXPANDED];

	if (!pattern)
		return 0;
	return name_expand(pattern, name, path) ? file_read(path, out) : -ENAMETOOLONG;
}

/* ---- contexts ---- */

static unsigned kind_of(const struct sim_options *o)
{
	if (o->certificate)
		return DTLS_WITH_X509;
	return o->key || o->raw_keys ? DTLS_WITH_RAW_KEY : DTLS_WITH_PSK;
}

static int make_context(const struct credentials *c, const char *name, struct dtls_context **out,
			char words[DTLS_WORDS])
{
	const struct sim_options *o = c->options;
	struct dtls_context_options options = {.role = DTLS_CLIENT,
					       .credentials = kind_of(o),
					       .trust = buffer_span(&c->trust),
					       .connection_ids = o->own_cid_len >= 0,
					       .resumption = o->resume};
	struct buffer key = buffer_of(FILE_LIMIT), chain = buffer_of(FILE_LIMIT);
	struct raw_key derived;
	int rc = read_named(o->certificate, name, &chain);

	if (rc == 0)
		rc = read_named(o->key, name, &key);
	if (rc == 0 && o->raw_keys)
		rc = raw_key_derive(span_of(c->master, c->master_len), span_str(name), &derived);
	snprintf(words, DTLS_WORDS, "%s", strerror(-rc));
	if (rc == 0) {
		options.key = o->raw_keys ? span_str(derived.pem) : buffer_span(&key);
		options.chain = buffer_span(&chain);
		rc = dtls_context_new(&options, out, words);
	}
	explicit_bzero(&derived, sizeof(derived));
	file_wipe(&key);
	buffer_deinit(&chain);
	return rc;
}

static bool is_shared(const struct sim_options *o)
{
	bool named =
		(o->key && name_is_pattern(o->key)) || (o->certificate && name_is_pattern(o->certificate));

	return !o->raw_keys && !named;
}

/* ---- beginning ---- */

static int take_psk(struct credentials *c, FILE *error)
{
	const char *text = c->options->psk, *colon = strrchr(text, ':');

	if (colon && colon > text &&
	    name_hex(span_str(colon + 1), c->master, sizeof(c->master), &c->master_len)) {
		c->identity = span_dup(span_of(text, (size_t)(colon - text)));
		return c->identity ? 0 : -ENOMEM;
	}
	fprintf(error,
		"shoal-sim: --psk: expected IDENTITY:KEY, the key as 1 to %d pairs of hexadecimal digits\n",
		DTLS_PSK_MAX);
	return -EINVAL;
}

static int take_master(struct credentials *c, FILE *error)
{
	if (name_hex(span_str(c->options->raw_keys), c->master, sizeof(c->master), &c->master_len))
		return 0;
	fprintf(error, "shoal-sim: --raw-keys: expected 1 to %d pairs of hexadecimal digits\n", DTLS_PSK_MAX);
	return -EINVAL;
}

static int take_trust(struct credentials *c, FILE *error)
{
	int rc = file_read(c->options->trust, &c->trust);

	if (rc < 0)
		fprintf(error, "shoal-sim: --trust %s: %s\n", c->options->trust, strerror(-rc));
	return rc;
}

static int take_rows(struct credentials *c, FILE *error)
{
	int rc = credential_rows_read(c->options->psk_file, &c->rows, error);

	if (rc == 0 && c->rows.count < c->options->count) {
		fprintf(error, "shoal-sim: --psk-file %s has %zu rows, which is less than --count %llu\n",
			c->options->psk_file, c->rows.count, (unsigned long long)c->options->count);
		rc = -EINVAL;
	}
	return rc;
}

static int take_context(struct credentials *c, FILE *error)
{
	char words[DTLS_WORDS];
	int rc = make_context(c, "", &c->context, words);

	if (rc < 0)
		fprintf(error, "shoal-sim: what the devices authenticate with: %s\n", words);
	return rc;
}

int credentials_new(const struct sim_options *options, FILE *error, struct credentials **out)
{
	struct credentials *c = calloc(1, sizeof(*c));
	int rc = c ? 0 : -ENOMEM;

	*out = NULL;
	if (rc < 0)
		return rc;
	c->options = options;
	c->trust = buffer_of(FILE_LIMIT);
	if (options->psk)
		rc = take_psk(c, error);
	if (rc == 0 && options->raw_keys)
		rc = take_master(c, error);
	if (rc == 0 && options->psk_file)
		rc = take_rows(c, error);
	if (rc == 0 && options->trust)
		rc = take_trust(c, error);
	if (rc == 0 && is_shared(options))
		rc = take_context(c, error);
	if (rc < 0)
		c = credentials_free(c);
	*out = c;
	return rc;
}

struct credentials *credentials_free(struct credentials *c)
{
	if (!c)
		return NULL;
	credential_rows_free(&c->rows);
	dtls_context_free(c->context);
	buffer_deinit(&c->trust);
	free(c->identity);
	explicit_bzero(c->master, sizeof(c->master));
	free(c);
	return NULL;
}

struct span credentials_endpoint(const struct credentials *c, uint32_t index)
{
	return index < c->rows.count ? c->rows.rows[index].endpoint : span_of(NULL, 0);
}

/* ---- of one device ---- */

/* With {ep} in the identity each device has a key of its own, without all have the same. */
static int derive_psk(const struct credentials *c, const char *name, struct presented *p)
{
	char identity[NAME_EXPANDED];
	struct hmac_sha256_ctx hmac;

	if (!name_expand(c->identity, name, identity) || strlen(identity) > sizeof(p->identity))
		return -ENAMETOOLONG;
	p->identity_len = strlen(identity);
	memcpy(p->identity, identity, p->identity_len);
	if (!name_is_pattern(c->identity)) {
		memcpy(p->psk, c->master, c->master_len);
		p->psk_len = c->master_len;
		return 0;
	}
	hmac_sha256_set_key(&hmac, c->master_len, c->master);
	hmac_sha256_update(&hmac, p->identity_len, p->identity);
	hmac_sha256_digest(&hmac, PSK_DERIVED, p->psk);
	p->psk_len = PSK_DERIVED;
	explicit_bzero(&hmac, sizeof(hmac));
	return 0;
}

static int copy_row(const struct credential_row *row, struct presented *p)
{
	assert(row->identity.len <= sizeof(p->identity)); /* the reader saw to it */
	p->identity_len = row->identity.len;
	memcpy(p->identity, row->identity.data, row->identity.len);
	return name_hex(row->key, p->psk, sizeof(p->psk), &p->psk_len) ? 0 : -EINVAL;
}

int credentials_present(const struct credentials *c, uint32_t index, const char *name, struct presented *out)
{
	char words[DTLS_WORDS];

	*out = (struct presented){.context = c->context};
	if (c->options->psk_file)
		return copy_row(&c->rows.rows[index], out);
	if (c->options->psk)
		return derive_psk(c, name, out);
	if (out->context)
		return 0;
	out->own = true;
	return make_context(c, name, &out->context, words);
}

void presented_deinit(struct presented *p)
{
	if (p->own)
		dtls_context_free(p->context);
	explicit_bzero(p, sizeof(*p));
}

/* ---- for the server ---- */

static void write_hex(struct span bytes, FILE *to)
{
	for (size_t i = 0; i < bytes.len; i++)
		fprintf(to, "%02x", bytes.data[i]);
}

static int write_one(const struct credentials *c, uint32_t index, FILE *to)
{
	static const char *const modes[] = {
		[DTLS_WITH_PSK] = "psk", [DTLS_WITH_X509] = "x509", [DTLS_WITH_RAW_KEY] = "rpk"};
	unsigned kind = kind_of(c->options);
	struct presented p;
	char name[NAME_OF_DEVICE];
	int rc;

	name_of_device(c->options, c, index, name);
	rc = credentials_present(c, index, name, &p);
	if (rc == 0) {
		csv_write_field(span_str(name), to);
		fprintf(to, ",%s,", modes[kind]);
		csv_write_field(span_of(p.identity, p.identity_len), to);
		fputc(',', to);
		if (kind == DTLS_WITH_RAW_KEY)
			write_hex(dtls_context_public_key(p.context), to);
		else
			write_hex(span_of(p.psk, p.psk_len), to);
		fputc('\n', to);
	}
	presented_deinit(&p);
	return rc;
}

static FILE *open_for_owner(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");

	if (!f && fd >= 0)
		close(fd);
	return f;
}

int credentials_write(const struct credentials *c, const char *path, FILE *error)
{
	bool standard = strcmp(path, "-") == 0;
	FILE *to = standard ? stdout : open_for_owner(path);
	int rc = to ? 0 : -errno;

	if (to)
		fputs("endpoint,mode,identity,key\n", to);
	for (uint32_t i = 0; rc == 0 && i < c->options->count; i++)
		rc = write_one(c, i, to);
	if (to && (fflush(to) != 0 || ferror(to)) && rc == 0)
		rc = -EIO;
	if (to && !standard && fclose(to) != 0 && rc == 0)
		rc = -errno;
	if (rc < 0)
		fprintf(error, "shoal-sim: --write-credentials %s: %s\n", path, strerror(-rc));
	return rc;
}

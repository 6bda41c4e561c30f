/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Records and the vault behind a pipe, for tests in another language. Commands are lines, octets hexadecimal
 * and "-" if there are none; each is answered by a line, "refused" if that is what comes of it:
 *
 *   seal AEAD KEY IV CID EPOCH SEQ TYPE CONTENT      -> RECORD
 *   open AEAD KEY IV CID RECORD                      -> TYPE EPOCH SEQ CONTENT
 *   vault-key CLUSTER-KEY NODE INCARNATION SALT      -> ok; the vault from now on
 *   vault-seal KIND ROLE NAME PLAINTEXT              -> SEALED
 *   vault-open KIND ROLE NAME SEALED                 -> PLAINTEXT
 *   vault-derive LABEL PERIOD                        -> OCTETS
 */

#include "dtls/record.h"
#include "dtls/vault.h"

#include <inttypes.h>
#include <stdio.h>

enum { ROOM = 1 << 17, FIELDS = 9 };

struct pipe {
	struct vault vault;
	char *line;
	size_t line_size;
	char *fields[FIELDS];
	size_t field_count;
	uint8_t *octets; /* what fields are decoded into, one behind the other */
	size_t used;
	uint8_t *out;
};

static void fail(const char *what)
{
	fprintf(stderr, "record_pipe: %s\n", what);
	exit(2);
}

static const char *field(const struct pipe *p, size_t i)
{
	if (i >= p->field_count)
		fail("a field is missing");
	return p->fields[i];
}

static uint64_t number(const struct pipe *p, size_t i)
{
	return strtoull(field(p, i), NULL, 10);
}

static struct span octets(struct pipe *p, size_t i)
{
	const char *hex = field(p, i);
	size_t len = strcmp(hex, "-") == 0 ? 0 : strlen(hex) / 2, start = p->used;

	if (len > ROOM - p->used)
		fail("a line is too long");
	for (size_t n = 0; n < len; n++) {
		char pair[3] = {hex[2 * n], hex[2 * n + 1], 0};

		p->octets[p->used++] = (uint8_t)strtoul(pair, NULL, 16);
	}
	return span_of(p->octets + start, len);
}

static void put_octets(struct span s)
{
	if (s.len == 0)
		putchar('-');
	for (size_t i = 0; i < s.len; i++)
		printf("%02x", s.data[i]);
	putchar('\n');
}

static struct dtls_secret secret_of(struct pipe *p)
{
	struct span key = octets(p, 2), iv = octets(p, 3);
	struct dtls_secret secret = {0};

	if (key.len > sizeof(secret.key) || iv.len != sizeof(secret.iv))
		fail("no key, or no iv");
	memcpy(secret.key, key.data, key.len);
	memcpy(secret.iv, iv.data, iv.len);
	return secret;
}

static void run_seal(struct pipe *p)
{
	struct dtls_secret secret = secret_of(p);
	struct writer w = writer_of(p->out, ROOM);
	struct span cid = octets(p, 4), content = octets(p, 8);

	dtls_seal(&w, (enum dtls_aead)number(p, 1), &secret, cid, (uint16_t)number(p, 5), number(p, 6),
		  (uint8_t)number(p, 7), content);
	if (w.failed)
		puts("refused");
	else
		put_octets(writer_span(&w));
}

static void run_open(struct pipe *p)
{
	struct dtls_secret secret = secret_of(p);
	struct span cid = octets(p, 4), content;
	struct reader r = reader_of(octets(p, 5));
	struct dtls_record record;
	uint8_t type;

	if (dtls_record_parse(&r, cid.len, &record) < 0 || reader_left(&r) ||
	    (record.type == DTLS_TLS12_CID && !span_equal(record.cid, cid)) ||
	    dtls_open((enum dtls_aead)number(p, 1), &secret, &record, p->out, &content, &type) < 0) {
		puts("refused");
		return;
	}
	printf("%u %u %" PRIu64 " ", type, record.epoch, record.seq);
	put_octets(content);
}

static void run_vault_key(struct pipe *p)
{
	struct vault_key key;
	struct span salt = octets(p, 4);

	if (vault_key_parse(span_str(field(p, 1)), &key) < 0 || salt.len != VAULT_SALT)
		fail("no cluster key, or no salt");
	vault_init(&p->vault, &key, (uint32_t)number(p, 2), number(p, 3), salt.data);
	puts("ok");
}

static struct vault_place place_of(struct pipe *p)
{
	return (struct vault_place){(uint8_t)number(p, 1), (uint8_t)number(p, 2), octets(p, 3)};
}

static void run_vault_seal(struct pipe *p)
{
	struct vault_place place = place_of(p);
	struct writer w = writer_of(p->out, ROOM);

	vault_seal(&p->vault, &place, octets(p, 4), &w);
	if (w.failed)
		puts("refused");
	else
		put_octets(writer_span(&w));
}

static void run_vault_open(struct pipe *p)
{
	struct vault_place place = place_of(p);
	struct writer w = writer_of(p->out, ROOM);

	if (vault_open(&p->vault, &place, octets(p, 4), &w) < 0)
		puts("refused");
	else
		put_octets(writer_span(&w));
}

static void run_vault_derive(struct pipe *p)
{
	uint8_t derived[VAULT_DERIVED];

	vault_derive(&p->vault, field(p, 1), number(p, 2), derived);
	put_octets(span_of(derived, sizeof(derived)));
}

static const struct {
	const char *name;
	void (*run)(struct pipe *p);
} commands[] = {
	{"seal", run_seal},
	{"open", run_open},
	{"vault-key", run_vault_key},
	{"vault-seal", run_vault_seal},
	{"vault-open", run_vault_open},
	{"vault-derive", run_vault_derive},
};

static void run_line(struct pipe *p)
{
	char *rest = p->line;

	p->used = p->field_count = 0;
	for (char *f; p->field_count < FIELDS && (f = strsep(&rest, " \n")) && *f;)
		p->fields[p->field_count++] = f;
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(field(p, 0), commands[i].name) == 0) {
			commands[i].run(p);
			return;
		}
	fail("not a command");
}

int main(void)
{
	struct pipe p = {.octets = malloc(ROOM), .out = malloc(ROOM)};

	if (!p.octets || !p.out)
		fail("out of memory");
	while (getline(&p.line, &p.line_size, stdin) > 0) {
		run_line(&p);
		fflush(stdout);
	}
	vault_deinit(&p.vault);
	free(p.line);
	free(p.octets);
	free(p.out);
	return 0;
}

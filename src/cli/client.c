/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Requests by libcurl, and words for the case that nobody answers. */

#include "cli/client.h"

#include "cli/args.h"

enum { BODY_MAX = 1 << 30, CONNECT_TIMEOUT_S = 5 };

void response_deinit(struct response *r)
{
	buffer_deinit(&r->body);
}

static bool is_http_url(const char *url)
{
	CURLU *parsed = curl_url();
	char *scheme = NULL;
	bool ok = parsed && curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
		  curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
		  (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);

	curl_free(scheme);
	curl_url_cleanup(parsed);
	return ok;
}

/* Without a slash at the end, and with the scheme that a URL without one means. */
static char *complete_url(const char *url)
{
	size_t len = strlen(url);
	char *out;

	while (len && url[len - 1] == '/')
		len--;
	if (asprintf(&out, "%s%.*s", strstr(url, "://") ? "" : "http://", (int)len, url) < 0)
		return NULL;
	return out;
}

int client_init(struct client *c, const char *url, FILE *error)
{
	*c = (struct client){.url = complete_url(url), .easy = curl_easy_init(), .error = error};
	if (!c->url || !c->easy) {
		fputs("shoalctl: out of memory\n", error);
		return EXIT_REFUSED;
	}
	if (is_http_url(c->url))
		return EXIT_OK;
	fprintf(error, "shoalctl: \"%s\" is no URL of a server; expected one like http://127.0.0.1:8080\n",
		url);
	return EXIT_USAGE;
}

void client_deinit(struct client *c)
{
	free(c->url);
	if (c->easy)
		curl_easy_cleanup(c->easy);
	*c = (struct client){.error = c->error};
}

/* A proxy for the rest of the world is none for this machine. */
static bool is_local(const char *url)
{
	static const char *const hosts[] = {"http://127.",  "http://localhost",	 "http://[::1]",
					    "https://127.", "https://localhost", "https://[::1]"};

	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++)
		if (strncmp(url, hosts[i], strlen(hosts[i])) == 0)
			return true;
	return false;
}

CURLcode client_prepare(const struct client *c, CURL *easy, const char *path)
{
	_cleanup_free_ char *url = NULL;
	CURLcode rc;

	if (asprintf(&url, "%s%s", c->url, path) < 0)
		return CURLE_OUT_OF_MEMORY;
	rc = curl_easy_setopt(easy, CURLOPT_URL, url);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(easy, CURLOPT_USERAGENT, "shoalctl/" SHOAL_VERSION);
	if (rc == CURLE_OK && is_local(c->url))
		rc = curl_easy_setopt(easy, CURLOPT_PROXY, "");
	if (rc == CURLE_OK && c->token) {
		rc = curl_easy_setopt(easy, CURLOPT_XOAUTH2_BEARER, c->token);
		if (rc == CURLE_OK)
			rc = curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
	}
	if (rc == CURLE_OK && c->ca)
		rc = curl_easy_setopt(easy, CURLOPT_CAINFO, c->ca);
	curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L); /* an endpoint may be called ".." */
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	return rc;
}

void client_complain(const struct client *c, CURLcode why)
{
	if (why == CURLE_OPERATION_TIMEDOUT)
		fprintf(c->error, "shoalctl: the server at %s does not answer\n", c->url);
	else if (why == CURLE_PEER_FAILED_VERIFICATION || why == CURLE_SSL_CACERT_BADFILE)
		fprintf(c->error,
			"shoalctl: the certificate of %s cannot be verified (%s); --ca FILE names the "
			"certificates "
			"to verify it by\n",
			c->url, curl_easy_strerror(why));
	else
		fprintf(c->error,
			"shoalctl: no server at %s (%s). Start one with `shoald`, or say where it is with "
			"--url or "
			"SHOAL_URL\n",
			c->url, curl_easy_strerror(why));
}

static size_t on_body(char *data, size_t size, size_t count, void *ctx)
{
	struct buffer *body = ctx;

	buffer_bytes(body, span_of(data, size * count));
	return body->failed ? 0 : size * count;
}

/* libcurl would add a type of its own for a body, and ask first before it sends a large one. */
static struct curl_slist *headers_of(const char *content_type)
{
	struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
	struct curl_slist *more;
	char header[128] = "Content-Type:";

	if (content_type)
		snprintf(header, sizeof(header), "Content-Type: %s", content_type);
	more = headers ? curl_slist_append(headers, header) : NULL;
	return more ? more : headers;
}

int client_request(struct client *c, const char *method, const char *path, const char *content_type,
		   struct span body, unsigned timeout_s, struct response *out)
{
	struct curl_slist *headers = headers_of(content_type);
	CURLcode rc;

	*out = (struct response){.body = buffer_of(BODY_MAX)};
	curl_easy_reset(c->easy);
	rc = client_prepare(c, c->easy, path);
	if (content_type || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0) {
		curl_easy_setopt(c->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
		curl_easy_setopt(c->easy, CURLOPT_POSTFIELDS, body.len ? (const char *)body.data : "");
	}
	curl_easy_setopt(c->easy, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c->easy, CURLOPT_WRITEDATA, &out->body);
	curl_easy_setopt(c->easy, CURLOPT_TIMEOUT, (long)timeout_s);
	if (rc == CURLE_OK)
		rc = curl_easy_perform(c->easy);
	curl_slist_free_all(headers);
	buffer_bytes(&out->body, (struct span){NULL, 0});
	if (rc != CURLE_OK) {
		client_complain(c, rc);
		return EXIT_UNREACHABLE;
	}
	curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &out->status);
	return EXIT_OK;
}

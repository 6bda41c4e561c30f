/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The ledger: every line is one write(2) without a buffer before it, because a line that is still in a buffer
 * when the device sends its next message would make the record claim less than the server owes.
 *
 * Leaves out fsync: the drills kill processes, not the machine.
 */

#include "sim/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

enum { LEDGER_LINE = 512 };

int ledger_open(struct ledger *l, const char *path)
{
	*l = (struct ledger){.fd = -1};
	if (!path)
		return 0;
	l->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
	return l->fd < 0 ? -errno : 0;
}

void ledger_close(struct ledger *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}

void ledger_write(struct ledger *l, const char *format, ...)
{
	char line[LEDGER_LINE];
	va_list args;
	ssize_t written;
	int len;

	if (l->fd < 0 || l->error)
		return;
	va_start(args, format);
	len = vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	assert(len >= 0 && (size_t)len < sizeof(line) - 1);
	line[len++] = '\n';
	written = write(l->fd, line, (size_t)len);
	if (written != len)
		l->error = written < 0 ? -errno : -ENOSPC;
}

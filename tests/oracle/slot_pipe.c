/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* The table of slots for tests in another language: `slot_pipe NODE:WEIGHT...` prints the node of each slot,
 * a line each; "refused" if there is no such table. */

#include "cluster/slots.h"

#include <stdio.h>

int main(int argc, char **argv)
{
	static struct slot_member members[SLOT_MEMBERS_MAX + 1];
	static struct slot_table table;
	size_t count = (size_t)argc - 1;

	if (count > SLOT_MEMBERS_MAX)
		return 2;
	for (size_t i = 0; i < count; i++)
		if (sscanf(argv[i + 1], "%u:%u", &members[i].node, &members[i].weight) != 2)
			return 2;
	if (slot_table_make(members, count, &table) < 0) {
		puts("refused");
		return 0;
	}
	for (size_t i = 0; i < SLOTS; i++)
		printf("%u\n", table.node[i]);
	return 0;
}

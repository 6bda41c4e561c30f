/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* The table of commands: what there is, what it takes, and one page of help on each. */

#include "cli/commands.h"

#include "cli/api.h"
#include "cli/text.h"

#include <inttypes.h>

#define BIT(option) (1u << OPTION_##option)
/* Of what is asked of a device. */
#define WAIT (BIT(TIMEOUT) | BIT(TTL))

const struct cli_command cli_commands[] = {
	{"list", "", 0, 0, 0, "List the registered devices", "", command_list},
	{"show", "EP", 1, 1, 0, "Show one device: its registration and its objects", "", command_show},
	{"read", "EP PATH...", 2, OPERANDS_MAX, BIT(FORMAT) | WAIT,
	 "Read a value, an instance or an object, or several of them",
	 "A single resource is printed as it is, anything else as a table. Several paths are one\n"
	 "Read-Composite (LwM2M 1.1): what the device does not have is missing in the table.\n"
	 "\n"
	 "  shoalctl read dev-1 /3/0/0\n"
	 "  shoalctl read dev-1 /3\n"
	 "  shoalctl read dev-1 /3/0/0 /3/0/9 /1/0\n",
	 command_read},
	{"write", "EP PATH [VALUE...]", 2, OPERANDS_MAX,
	 BIT(TYPE) | BIT(FILE) | BIT(REPLACE) | BIT(PARTIAL) | BIT(FORMAT) | WAIT,
	 "Write a value, or several of an instance",
	 "The type of a value is that of the object's definition, unless --type says another: string,\n"
	 "integer, unsigned_integer, float, boolean, opaque, time, objlnk or corelnk.\n"
	 "Several resources of an instance, or instances of a resource, are written as ID=VALUE;\n"
	 "of an instance only what is given is changed, unless --replace is.\n"
	 "\n"
	 "  shoalctl write dev-1 /1/0/1 120\n"
	 "  shoalctl write dev-1 /1/0 1=120 6=true\n"
	 "  shoalctl write dev-1 /3/0/13 2026-01-02T03:04:05Z\n"
	 "  shoalctl write dev-1 /2/0/2 101=31 102=1\n"
	 "  shoalctl write dev-1 /1/0 --file instance.json --replace\n",
	 command_write},
	{"exec", "EP PATH [ARGUMENTS]", 2, 3, WAIT, "Execute a resource",
	 "  shoalctl exec dev-1 /3/0/4\n"
	 "  shoalctl exec dev-1 /5/0/2 \"0='now',1\"\n",
	 command_exec},
	{"create", "EP OBJECT [ID=VALUE...]", 2, OPERANDS_MAX, BIT(ID) | BIT(FILE) | BIT(FORMAT) | WAIT,
	 "Create an instance of an object",
	 "  shoalctl create dev-1 /3303 5701=Cel\n"
	 "  shoalctl create dev-1 /3303 --id 7 5701=Cel\n",
	 command_create},
	{"delete", "EP PATH", 2, 2, WAIT, "Delete an instance", "", command_delete},
	{"discover", "EP PATH", 2, 2, WAIT, "Ask what there is below a path, with its attributes", "",
	 command_discover},
	{"attributes", "EP PATH NAME[=VALUE]...", 3, OPERANDS_MAX, 0,
	 "Set or take back notification attributes",
	 "NAME is pmin, pmax, gt, lt, st, epmin or epmax; without a value it is taken back.\n"
	 "\n"
	 "  shoalctl attributes dev-1 /3303/0/5700 pmin=10 pmax=60 gt=30\n"
	 "  shoalctl attributes dev-1 /3303/0/5700 gt\n",
	 command_attributes},
	{"observe", "EP PATH...", 2, OPERANDS_MAX, BIT(ONCE) | BIT(FORMAT) | WAIT,
	 "Observe a path and print its notifications until Ctrl-C",
	 "The observation goes on when this ends; shoalctl cancel ends it. Several paths are one\n"
	 "composite observation (LwM2M 1.1), whose notifications tell all of them.\n",
	 command_observe},
	{"cancel", "EP PATH...", 2, OPERANDS_MAX, BIT(ACTIVE) | WAIT, "Cancel an observation",
	 "A composite observation is named by the same paths in the same order.\n", command_cancel},
	{"observations", "EP", 1, 1, 0, "Show what is observed of a device, and by whom it is wanted", "",
	 command_observations},
	{"policy", "WORD ...", 1, OPERANDS_MAX, BIT(COMPOSITE) | BIT(ATTRIBUTES) | BIT(FORMAT),
	 "Declare what is to be observed of all devices of a kind",
	 "  shoalctl policy list\n"
	 "  shoalctl policy set NAME 'sensor-*' /3303/0/5700 /3/0/9 --attributes 'pmin=10&pmax=60'\n"
	 "  shoalctl policy delete NAME\n"
	 "\n"
	 "The pattern is for endpoints: * is any text, ? one character. What matches is observed now and "
	 "after\n"
	 "each registration; what a policy made ends with it.\n",
	 command_policy},
	{"requests", "WORD ...", 2, 2, 0, "Show and take back requests that wait for a sleeping device",
	 "  shoalctl requests list EP\n"
	 "  shoalctl requests show ID\n"
	 "  shoalctl requests cancel ID                        as long as it was not sent\n",
	 command_requests},
	{"events", "", 0, 0, BIT(EP) | BIT(SINCE), "Print events as they come, until Ctrl-C",
	 "A connection that breaks is made again, and goes on behind the last event. With --json each\n"
	 "event is a line: {\"event\":NAME,\"id\":ID,\"data\":...}.\n",
	 command_events},
	{"remove", "EP", 1, 1, 0, "Remove a registration; the device is not told", "", command_remove},
	{"security", "WORD ...", 1, 5, BIT(ROTATE), "Show and set what devices may authenticate with",
	 "  shoalctl security list\n"
	 "  shoalctl security set dev-1 psk IDENTITY KEY       a pre-shared key\n"
	 "  shoalctl security set dev-1 rpk KEY                a raw public key: SubjectPublicKeyInfo\n"
	 "  shoalctl security set dev-1 x509                   certificates that name the endpoint\n"
	 "  shoalctl security delete dev-1\n"
	 "  shoalctl security import FILE                      CSV: endpoint,mode,identity,key\n"
	 "\n"
	 "Keys are hexadecimal digits; - reads one from the standard input. An IDENTITY 0x... is bytes. "
	 "With\n"
	 "--rotate the old one stays valid until the new one, of another identity, is used. FILE may be -.\n",
	 command_security},
	{"token", "WORD ...", 1, 2, BIT(ROLE) | BIT(NAME) | BIT(EXPIRES),
	 "Make, list and revoke tokens for the server's interface",
	 "  shoalctl token create --role operate --name backend --expires 30d\n"
	 "  shoalctl token list\n"
	 "  shoalctl token revoke ID\n"
	 "\n"
	 "A token is printed once, when it is made. Roles: read looks, operate also sends requests to\n"
	 "devices, admin also sets credentials, tokens and definitions.\n",
	 command_token},
	{"failures", "[clear]", 0, 1, 0, "Show which devices could not connect, and why",
	 "The last one comes first. clear forgets them all.\n", command_failures},
	{"node", "[drain ID]", 0, 2, 0, "Show the nodes of the cluster, or send the devices of one away",
	 "DEVICES is only known of the node that is asked. drain makes a node give its devices to the\n"
	 "others and go on as one that leaves: slots and balancers' new devices go elsewhere, until it is\n"
	 "started anew.\n"
	 "\n"
	 "  shoalctl node\n"
	 "  shoalctl node drain 2\n",
	 command_node},
	{"owner", "EP", 1, 1, 0, "Show which node a device belongs to", "", command_owner},
	{"status", "", 0, 0, 0, "Show whether the server is ready, and where devices reach it", "",
	 command_status},
};
const size_t cli_command_count = ARRAY_SIZE(cli_commands);

/* "an object, an instance or a resource" */
static void print_depths(unsigned min, unsigned max, FILE *to)
{
	static const char *const names[] = {"the root", "an object", "an instance", "a resource",
					    "a resource instance"};

	for (unsigned depth = min; depth <= max; depth++)
		fprintf(to, "%s%s", depth == min ? "" : depth == max ? " or " : ", ", names[depth]);
}

int command_path(struct cli *c, const char *operand, unsigned min, unsigned max, struct path *path,
		 char text[PATH_TEXT])
{
	bool valid = path_parse(span_str(operand), path);

	if (valid && path->depth >= min && path->depth <= max) {
		path_format(path, text);
		return EXIT_OK;
	}
	fprintf(c->error, "shoalctl: \"%s\": expected the path of ", operand);
	print_depths(min, max, c->error);
	fputs(valid ? "\n" : ", such as /3/0/0\n", c->error);
	return EXIT_USAGE;
}

bool command_is_composite(const struct cli_args *args)
{
	return args->operand_count > 2;
}

int command_paths(struct cli *c, const struct cli_args *args, struct buffer *list)
{
	char text[PATH_TEXT];
	struct path path;

	for (unsigned i = 1; i < args->operand_count; i++) {
		int rc = command_path(c, args->operands[i], PATH_ROOT, PATH_RESOURCE_INSTANCE, &path, text);

		if (rc != EXIT_OK)
			return rc;
		buffer_printf(list, "%s%s", i > 1 ? "," : "", text);
	}
	return EXIT_OK;
}

char *command_add_ttl(char *path, const struct cli_args *args)
{
	char seconds[24];
	uint64_t ms;

	if (!args_has(args, OPTION_TTL))
		return path;
	if (!text_parse_duration(args->options[OPTION_TTL], &ms))
		return api_add_query(path, "ttl", args->options[OPTION_TTL]);
	snprintf(seconds, sizeof(seconds), "%" PRIu64, ms / 1000);
	return api_add_query(path, "ttl", seconds);
}

char *command_composite_path(const struct cli_args *args, const char *suffix, const struct buffer *list)
{
	char *path = api_device_path(args->operands[0], "/composite", suffix);

	path = api_add_query(path, "paths", (const char *)list->data);
	if (args_has(args, OPTION_FORMAT))
		path = api_add_query(path, "nodeformat", args->options[OPTION_FORMAT]);
	if (args_has(args, OPTION_TIMEOUT))
		path = api_add_query(path, "timeout", args->options[OPTION_TIMEOUT]);
	return command_add_ttl(path, args);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* shoal-sim: a simulated fleet of LwM2M devices. Reads the command line, runs the fleet, prints the sums. */

#include "sim/fleet.h"
#include "sim/report.h"

enum { EXIT_WELL = 0, EXIT_UNWELL = 1, EXIT_USAGE = 2, EXIT_NO_START = 3 };

/* A seed that is not asked for is taken from the kernel, and printed, so that any run can be repeated. */
static void choose_seed(struct sim_options *o)
{
	struct random random;

	if (o->seed)
		return;
	random_init_kernel(&random);
	o->seed = random_u32(&random) | 1u;
}

static int run(const struct sim_options *options)
{
	struct fleet *fleet = malloc(sizeof(*fleet));
	int rc;

	if (!fleet)
		return EXIT_NO_START;
	rc = fleet_run(fleet, options);
	if (rc >= 0)
		report_summary(fleet, options->json, stdout);
	fleet_deinit(fleet);
	free(fleet);
	return rc < 0 ? EXIT_NO_START : rc == FLEET_WELL ? EXIT_WELL : EXIT_UNWELL;
}

/* Of credentials: what the server has to know, instead of a simulation. */
static int write_credentials(const struct sim_options *options)
{
	struct credentials *credentials;
	int rc = credentials_new(options, stderr, &credentials);

	if (rc == 0)
		rc = credentials_write(credentials, options->write_credentials, stderr);
	credentials_free(credentials);
	return rc < 0 ? EXIT_NO_START : EXIT_WELL;
}

int main(int argc, char **argv)
{
	struct sim_options options;
	int rc = sim_options_parse(&options, argc - 1, argv + 1, stdout, stderr);
	int code = rc < 0 ? EXIT_USAGE : EXIT_WELL;

	if (rc == OPTIONS_RUN && options.write_credentials) {
		code = write_credentials(&options);
	} else if (rc == OPTIONS_RUN) {
		choose_seed(&options);
		code = run(&options);
	}
	sim_options_deinit(&options);
	return code;
}

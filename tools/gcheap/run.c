// SPDX-License-Identifier: GPL-2.0-only
/*
 * gcheap run: a program that is linked with libgc.so.1 finds ours first. What is wanted
 * of the machine is looked at before, so that what is missing is said in words.
 */
#define _GNU_SOURCE
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gcheap.h"

#define DEVICE	"/dev/gcheap"
#define LIBGC	"libgc.so.1"

struct run_args {
	bool fall_back;
	const char *library;
	char **command;
};

static const struct argp_option run_options[] = {
	{ "fall-back", 'f', NULL, 0, "Without a heap run it on the system's libgc, and say so", 0 },
	{ "library", 'l', "DIRECTORY", 0, "Where " LIBGC " is (beside this program's own)", 0 },
	{ 0 }
};

static error_t run_option(int key, char *arg, struct argp_state *state)
{
	struct run_args *a = state->input;

	switch (key) {
	case 'f':
		a->fall_back = true;
		break;
	case 'l':
		a->library = arg;
		break;
	case ARGP_KEY_ARGS:
		a->command = state->argv + state->next;
		break;
	case ARGP_KEY_NO_ARGS:
		argp_usage(state);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp run_argp = {
	.options = run_options, .parser = run_option, .args_doc = "COMMAND [ARGUMENT]...",
	.doc = "Run a program that was built for the Boehm collector with its objects on "
	       "/dev/gcheap.",
};

static const char *device(void)
{
	return getenv("GCHEAP_DEVICE") ?: DEVICE;
}

/* 0 or -errno. */
static int device_there(void)
{
	int fd = open(device(), O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static const char *device_advice(int err)
{
	switch (-err) {
	case ENOENT:
		return ": is the module loaded? (modprobe gcheap)";
	case EACCES:
	case EPERM:
		return ": who may use it is the administrator's choice (its group, a udev rule)";
	default:
		return "";
	}
}

/* @where this program has been installed, or built, as a path without dots. */
static bool beside(const char *where, char *path)
{
	char at[PATH_MAX], *self = realpath("/proc/self/exe", path), *slash;

	slash = self ? strrchr(self, '/') : NULL;
	if (!slash)
		return false;
	*slash = 0;
	if (snprintf(at, sizeof(at), "%s/%s/" LIBGC, self, where) >= (int)sizeof(at) ||
	    !realpath(at, path))
		return false;
	*strrchr(path, '/') = 0;
	return true;
}

static int find_library(const struct run_args *a, char *path)
{
	char file[PATH_MAX + sizeof(LIBGC) + 1];

	if (!a->library)
		return beside("../lib/gcheap", path) || beside("../bdw", path) ? 0 : -ENOENT;
	if (!realpath(a->library, path))
		return -errno;
	snprintf(file, sizeof(file), "%s/" LIBGC, path);
	return access(file, R_OK) ? -errno : 0;
}

/* Before what the user has there, which stays in force for other libraries. */
static int set_path(const char *directory)
{
	const char *old = getenv("LD_LIBRARY_PATH");
	char *path;
	int err;

	if (strpbrk(directory, ":;"))
		return -EINVAL;
	if (asprintf(&path, "%s%s%s", directory, old && *old ? ":" : "", old ?: "") < 0)
		return -ENOMEM;
	err = setenv("LD_LIBRARY_PATH", path, 1) ? -errno : 0;
	free(path);
	return err;
}

static int execute(char **command)
{
	int err;

	execvp(command[0], command);
	err = errno;
	fail(command[0], -err);
	/* As a shell says it. */
	return err == ENOENT ? 127 : 126;
}

/* What keeps the program from a heap is said; 0: nothing does. */
static int prepare(const struct run_args *a)
{
	char library[PATH_MAX];
	int err = device_there();

	if (err) {
		fprintf(stderr, "gcheap: %s: %s%s\n", device(), strerror(-err), device_advice(err));
		return err;
	}
	err = find_library(a, library);
	if (!err)
		err = set_path(library);
	if (err)
		fprintf(stderr, "gcheap: " LIBGC " in %s: %s\n",
			a->library ?: "the directories beside this program", strerror(-err));
	return err;
}

int run_main(int argc, char **argv)
{
	struct run_args a = { 0 };

	/* Options after the command are its own. */
	if (argp_parse(&run_argp, argc, argv, ARGP_IN_ORDER, NULL, &a))
		return 2;
	if (prepare(&a)) {
		if (!a.fall_back)
			return 1;
		fprintf(stderr, "gcheap: %s runs on the system's libgc\n", a.command[0]);
	}
	return execute(a.command);
}

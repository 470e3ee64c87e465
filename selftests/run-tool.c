// SPDX-License-Identifier: GPL-2.0-only
/* "gcheap run" runs programs on the libgc of gcheap, or says why not. */
#include "tap.h"
#include <fcntl.h>

static const char *out_dir(void)
{
	return getenv("O") ?: "build";
}

/* Of a shell command, its output and what it exits with. */
static int shell(char *out, size_t size, const char *fmt, const char *arg)
{
	char command[512];
	size_t n;
	FILE *f;

	n = snprintf(command, sizeof(command), "%s/tools/gcheap ", out_dir());
	snprintf(command + n, sizeof(command) - n, fmt, out_dir(), arg);
	f = popen(command, "r");
	CHECK(f);
	n = fread(out, 1, size - 1, f);
	out[n] = 0;
	return WEXITSTATUS(pclose(f));
}

/* bdw-here is linked with libgc and looks which one it has got. */
TEST(a_program_for_libgc_is_on_gcheap)
{
	char out[4096];

	CHECK(shell(out, sizeof(out), "--version; %s/libgc/bdw-here 2>&1", NULL));
	if (shell(out, sizeof(out), "run %s/libgc/bdw-here 2>&1", NULL))
		FAIL("%s", out);
	CHECK(strstr(out, "ok 1 - "));
	if (shell(out, sizeof(out), "run -l %1$s/bdw %1$s/libgc/bdw-here 2>&1", NULL))
		FAIL("%s", out);
}

TEST(what_comes_after_the_command_is_its_own)
{
	char out[4096];

	CHECK_EQ(shell(out, sizeof(out), "run sh -c 'echo $0 $LD_LIBRARY_PATH; exit 7' -f %2$s",
		       "--library=x"), 7);
	CHECK(!strncmp(out, "-f ", 3) && strstr(out, "/bdw"));
	setenv("LD_LIBRARY_PATH", "/somewhere", 1);
	CHECK_EQ(shell(out, sizeof(out), "run printenv LD_LIBRARY_PATH", NULL), 0);
	CHECK(strstr(out, "/bdw:/somewhere"));
}

TEST(commands_that_are_not_there)
{
	char out[4096];

	CHECK_EQ(shell(out, sizeof(out), "run nosuchcommand 2>&1", NULL), 127);
	CHECK(strstr(out, "nosuchcommand: No such file"));
	CHECK_EQ(shell(out, sizeof(out), "run / 2>&1", NULL), 126);
	CHECK(strstr(out, "Permission denied"));
	CHECK(shell(out, sizeof(out), "run 2>&1", NULL));
	CHECK(strstr(out, "Usage"));
	CHECK(shell(out, sizeof(out), "run --nonsense true 2>&1", NULL));
	CHECK(strstr(out, "--nonsense"));
}

TEST(no_device)
{
	char out[4096];

	setenv("GCHEAP_DEVICE", "/dev/nogcheap", 1);
	CHECK_EQ(shell(out, sizeof(out), "run true 2>&1", NULL), 1);
	CHECK(strstr(out, "/dev/nogcheap") && strstr(out, "is the module loaded"));
	CHECK_EQ(shell(out, sizeof(out), "run -f sh -c 'echo $LD_LIBRARY_PATH.' 2>&1", NULL), 0);
	CHECK(strstr(out, "sh runs on the system's libgc\n.\n"));
}

TEST(no_library)
{
	char out[4096];

	CHECK_EQ(shell(out, sizeof(out), "run -l /nowhere true 2>&1", NULL), 1);
	CHECK(strstr(out, "libgc.so.1 in /nowhere: No such file"));
	CHECK_EQ(shell(out, sizeof(out), "run -l /tmp true 2>&1", NULL), 1);
	CHECK(strstr(out, "libgc.so.1 in /tmp"));
	CHECK_EQ(shell(out, sizeof(out), "run -f -l /tmp echo here 2>&1", NULL), 0);
	CHECK(strstr(out, "here"));
}

static void try_as_nobody(void)
{
	char out[4096];

	CHECK(!setgid(65534) && !setuid(65534));
	CHECK_EQ(shell(out, sizeof(out), "run true 2>&1", NULL), 1);
	CHECK(strstr(out, "Permission denied") && strstr(out, "administrator"));
	_exit(0);
}

/* Whoever may not use the device is told so. */
TEST(no_right_to_the_device)
{
	char node[] = "/tmp/gcheap-run-tool-XXXXXX";
	int fd, status;
	pid_t pid;

	if (geteuid())
		SKIP("needs root");
	fd = mkostemp(node, O_CLOEXEC);
	CHECK(fd >= 0);
	setenv("GCHEAP_DEVICE", node, 1);
	pid = fork();
	if (!pid)
		try_as_nobody();
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(!unlink(node));
	CHECK_EQ(status, 0);
}

TEST_MAIN

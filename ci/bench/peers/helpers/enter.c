/* Runs commands in the namespaces of a process, one after the other, and
   prints the nanoseconds from the fork of each to its end:
     enter PID COUNT COMMAND... [-- COMMAND...]   all of them, COUNT times
     enter PID 0 COMMAND...       until it succeeds; prints the clock then
     enter 0 ...                  stays in its own namespaces
   Ends with 1 when a command fails. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void enter(const char *pid)
{
	static const char *kinds[] = { "cgroup", "ipc", "uts", "net", "pid", "mnt" };
	int fds[6];
	for (int i = 0; i < 6; i++) {
		char path[64];
		snprintf(path, sizeof path, "/proc/%s/ns/%s", pid, kinds[i]);
		fds[i] = open(path, O_RDONLY | O_CLOEXEC);
	}
	for (int i = 0; i < 6; i++)
		if (setns(fds[i], 0) < 0) {
			perror("setns");
			exit(2);
		}
}

static int run(char **argv)
{
	int status;
	pid_t pid = vfork();
	if (pid == 0) {
		execv(argv[0], argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return status;
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	if (strcmp(argv[1], "0"))
		enter(argv[1]);
	int out = fcntl(1, F_DUPFD_CLOEXEC, 10);
	dup2(open("/dev/null", O_RDWR), 1);
	int count = atoi(argv[2]);
	if (count == 0) {
		dup2(1, 2);
		for (int i = 0; run(argv + 3) != 0; i++) {
			if (i == 10000)
				return 1;
			usleep(1000);
		}
		dprintf(out, "%lld\n", now());
		return 0;
	}
	for (; count > 0; count--)
		for (int i = 3; i < argc;) {
			int end = i;
			while (end < argc && argv[end] && strcmp(argv[end], "--"))
				end++;
			char *mark = argv[end];
			argv[end] = NULL;
			long long before = now();
			int status = run(argv + i);
			dprintf(out, "%lld\n", now() - before);
			if (status != 0)
				return 1;
			argv[end] = mark;
			i = end + 1;
		}
	return 0;
}

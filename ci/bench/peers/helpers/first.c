/* A service of one answer, and its client:
     first answer FD   takes a connection from a socket, or writes to 1 if that is 1
     first ask PID     connects to port 7 of the network of a process, and prints
                       the nanoseconds until the first byte */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static long long now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int ask(const char *pid)
{
	char path[64], answer;
	snprintf(path, sizeof path, "/proc/%s/ns/net", pid);
	int ns = open(path, O_RDONLY);
	if (ns < 0 || setns(ns, 0) < 0)
		return 2;
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(7), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int s = socket(AF_INET, SOCK_STREAM, 0);
	long long before = now();
	if (connect(s, (struct sockaddr *)&to, sizeof to) < 0 || read(s, &answer, 1) != 1)
		return 1;
	return printf("%lld\n", now() - before) < 0;
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	if (!strcmp(argv[1], "ask"))
		return ask(argv[2]);
	int fd = atoi(argv[2]);
	if (fd != 1)
		fd = accept(fd, NULL, NULL);
	return write(fd, "x", 1) != 1;
}

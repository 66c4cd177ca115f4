/* A service: writes when it ran its first instruction, and its pid, into
   /bench/up.fifo and stays; told "once" it ends. */
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	int64_t record[2] = { now.tv_sec * 1000000000LL + now.tv_nsec, getpid() };
	int fd = open("/bench/up.fifo", O_WRONLY);
	if (fd < 0 || write(fd, record, sizeof record) != sizeof record)
		return 1;
	close(fd);
	while (argc < 2 || strcmp(argv[1], "once"))
		pause();
}

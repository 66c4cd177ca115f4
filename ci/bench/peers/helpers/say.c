/* A task: says one line and ends. */
#include <unistd.h>

int main(void)
{
	return write(1, "said\n", 5) != 5;
}

/* A buffer of ROOM bytes, a multiple of any page, between two pages that must not be touched. */
#ifndef FENCED_H
#define FENCED_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ROOM = 1 << 16 };

static uint8_t *fenced(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *p = mmap(NULL, ROOM + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || mprotect(p + page, ROOM, PROT_READ | PROT_WRITE)) {
		perror("mmap");
		exit(2);
	}
	return p + page;
}

#endif

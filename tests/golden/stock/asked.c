// SPDX-License-Identifier: GPL-2.0
/*
 * Takes messages from the simulator's debugfs files and prints them in the
 * format of ../from-capture. Called by record.c, one call at a time.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "asked.h"

#define SIM "/sys/kernel/debug/qda_sim/"

const char *dsp;

static size_t slurp(const char *path, char *to, size_t size)
{
	FILE *file = fopen(path, "r");
	size_t len;

	if (!file)
		die("%s: %s", path, strerror(errno));
	len = fread(to, 1, size - 1, file);
	to[len] = 0;
	fclose(file);
	return len;
}

void begin(void)
{
	FILE *file = fopen(SIM "clear", "w");

	if (!file || fputs("1", file) < 0 || fclose(file))
		die("the simulator cannot be cleared: %s", strerror(errno));
}

char *keep(void)
{
	enum { SIZE = 1 << 20 };
	char *text = malloc(SIZE);
	char path[100];

	if (!text)
		die("no memory");
	slurp(SIM "violations", text, SIZE);
	if (strtoul(text, NULL, 10) != 0)
		die("violations: %s", text);
	snprintf(path, sizeof(path), SIM "%s/capture", dsp);
	slurp(path, text, SIZE);
	return text;
}

void print(const struct asked *asked, char *kept)
{
	unsigned int total = (asked->scalars >> 16 & 0xff) + (asked->scalars >> 8 & 0xff) +
			     (asked->scalars >> 4 & 0xf) + (asked->scalars & 0xf);

	printf("call %s\n", asked->name);
	printf("sections %s\nwhy %s\n", asked->sections, asked->why);
	printf("fields sender=%d tid=%d pd=%d handle=%u scalars=0x%08x\n", asked->sender,
	       gettid(), asked->pd, asked->handle, asked->scalars);
	for (unsigned int i = 0; i < total; i++) {
		const struct arg *arg = &asked->args[i];

		switch (arg->class) {
		case EMPTY:
			printf("arg empty\n");
			break;
		case INLINE:
			printf("arg inline %llu", (unsigned long long)arg->len);
			for (uint64_t k = 0; arg->data && k < arg->len; k++)
				printf("%s%02x", k ? "" : " ", ((const uint8_t *)arg->data)[k]);
			printf("\n");
			break;
		case MAPPED:
			printf("arg mapped 0x%llx 0x%llx %llu\n", (unsigned long long)arg->pv,
			       (unsigned long long)arg->address, (unsigned long long)arg->len);
			break;
		case HANDLE:
			printf("arg handle %d %u %llu 0x%llx 0x%llx\n", arg->fd, arg->offset,
			       (unsigned long long)arg->len, (unsigned long long)arg->address,
			       (unsigned long long)arg->size);
			break;
		}
	}
	printf("%send\n", kept);
	free(kept);
}

struct arg in(const void *data, uint64_t len)
{
	return (struct arg){ len ? INLINE : EMPTY, len, data, 0, 0, 0, 0, 0 };
}

struct arg out(uint64_t len)
{
	return (struct arg){ len ? INLINE : EMPTY, len, NULL, 0, 0, 0, 0, 0 };
}

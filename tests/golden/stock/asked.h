/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a message has to be, and the recording of what it is. Used by record.c.
 */

#ifndef GOLDEN_ASKED_H
#define GOLDEN_ASKED_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_ARGS 8

#define die(...) do { \
	fprintf(stderr, "record: line %d: ", __LINE__); \
	fprintf(stderr, __VA_ARGS__); \
	fputc('\n', stderr); \
	exit(1); \
} while (0)

enum class { EMPTY, INLINE, MAPPED, HANDLE };

/* One argument that a message has to have. */
struct arg {
	enum class class;
	/* Length in bytes; data is NULL for outputs. */
	uint64_t len;
	const void *data;
	/* Of MAPPED: address in this process and on the DSP. Of HANDLE: the whole buffer's on the DSP. */
	uint64_t pv, address;
	/* Of HANDLE: file descriptor, first byte, and bytes of the whole buffer. */
	int fd;
	uint32_t offset;
	uint64_t size;
};

/* What a message has to be. */
struct asked {
	const char *name, *sections, *why;
	int sender, pd;
	uint32_t handle, scalars;
	struct arg args[MAX_ARGS];
};

/* The DSP whose messages are looked at. */
extern const char *dsp;

/* Forgets all messages before the one to be recorded. */
void begin(void);
/* The messages since begin(), for print(). The simulator must have been content with them. */
char *keep(void);
/* Prints and frees kept messages, after what they have to be. */
void print(const struct asked *asked, char *kept);

/* An input with its data and an output, in the message; empty for length 0. */
struct arg in(const void *data, uint64_t len);
struct arg out(uint64_t len);

#endif

// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Starts a program with a dma-buf of a DRM driver as its standard input: memory
 * that no driver of a DSP has made, for programs that import it.
 *
 * Usage: lend CARD PROGRAM [ARGUMENT]..., for example
 *
 *	lend /dev/dri/card0 example-rust-buffer cdsp -
 *
 * CARD is a node whose driver makes dumb buffers, as vgem.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <drm/drm.h>

static void die(const char *what)
{
	fprintf(stderr, "lend: %s: %s\n", what, strerror(errno));
	exit(1);
}

int main(int argc, char **argv)
{
	/* A picture that a screen might show: 300 KiB. */
	struct drm_mode_create_dumb picture = { .width = 320, .height = 240, .bpp = 32 };
	struct drm_prime_handle prime = { .flags = DRM_CLOEXEC | DRM_RDWR };
	int card;

	if (argc < 3) {
		fprintf(stderr, "usage: lend CARD PROGRAM [ARGUMENT]...\n");
		return 2;
	}
	card = open(argv[1], O_RDWR | O_CLOEXEC);
	if (card < 0)
		die(argv[1]);
	if (ioctl(card, DRM_IOCTL_MODE_CREATE_DUMB, &picture))
		die("making a buffer");
	prime.handle = picture.handle;
	if (ioctl(card, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime))
		die("exporting a buffer");
	/* The copy stays open in the program; everything else is closed. */
	if (dup2(prime.fd, STDIN_FILENO) < 0)
		die("standard input");
	execvp(argv[2], argv + 2);
	die(argv[2]);
}

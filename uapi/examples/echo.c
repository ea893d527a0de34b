// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * A client of qda in C, from finding the DSP to the last close: starts a
 * process on the DSP, loads the module "echo", lets it copy one buffer to
 * another without the kernel copying a byte, and passes a buffer on as dma-buf.
 *
 * Usage: echo [DSP], default cdsp. Ends with status 0 only if every byte came
 * back. The module is one of the simulated DSP; on a real one it has to be built
 * with the SDK of the DSP.
 *
 * Needs nothing but the C library, the headers of the kernel and qda_accel.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/dma-buf.h>

#include <drm/qda_accel.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

#define ECHO_URI	"file:///libecho_skel.so?echo_skel_handle_invoke&_modver=1.0"
#define ECHO_METHOD	2

/* Methods of the module loader, and the room for its error text. */
#define LOADER_OPEN	2
#define LOADER_CLOSE	3
#define LOADER_TEXT	255

#define SIZE		(3 << 20)

static void die(const char *what)
{
	fprintf(stderr, "echo: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void wrong(const char *what)
{
	fprintf(stderr, "echo: %s\n", what);
	exit(1);
}

/*
 * The node of the DSP: the numbers of the nodes mean nothing, and other drivers
 * have nodes there, too.
 */
static int open_dsp(const char *name)
{
	int n;

	for (n = 0; n < 64; n++) {
		struct drm_qda_query query = { 0 };
		struct drm_version version = { 0 };
		char driver[16] = "";
		char path[32];
		int fd;

		snprintf(path, sizeof(path), "/dev/accel/accel%d", n);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			continue;
		version.name = driver;
		version.name_len = sizeof(driver) - 1;
		if (!ioctl(fd, DRM_IOCTL_VERSION, &version) && !strcmp(driver, "qda") &&
		    !ioctl(fd, DRM_IOCTL_QDA_QUERY, &query) &&
		    !strcmp((const char *)query.dsp_name, name)) {
			/* CALL and buffers came with version 1.1. */
			if (version.version_major == DRM_QDA_VERSION_MAJOR &&
			    version.version_minor >= 1)
				return fd;
			wrong("the driver is too old");
		}
		close(fd);
	}
	fprintf(stderr, "echo: no DSP named %s\n", name);
	exit(1);
}

/* Starts a process on the DSP; it ends when the file is closed. */
static void start_process(int fd)
{
	struct drm_qda_init_create create = {
		.filefd = DRM_QDA_FD_NONE,
		.attrs = DRM_QDA_ATTR_UNSIGNED,
	};
	int result = ioctl(fd, DRM_IOCTL_QDA_REMOTE_SESSION_CREATE, &create);

	if (result == -1)
		die("starting a process");
	if (result) {
		fprintf(stderr, "echo: the DSP starts no process: %#x\n", (unsigned int)result);
		exit(1);
	}
}

/* An argument that the kernel copies. */
static struct drm_qda_call_arg copied(__u32 direction, const void *data, __u64 length)
{
	struct drm_qda_call_arg arg = {
		.address = (uintptr_t)data,
		.length = length,
		.kind = DRM_QDA_ARG_INLINE,
		.direction = direction,
	};

	return arg;
}

/* An argument that stays where it is. */
static struct drm_qda_call_arg in_buffer(__u32 direction, __u32 handle, __u64 offset, __u64 length)
{
	struct drm_qda_call_arg arg = {
		.offset = offset,
		.length = length,
		.kind = DRM_QDA_ARG_BUFFER,
		.direction = direction,
		.handle = handle,
	};

	return arg;
}

/* Calls a method and ends the program if the DSP does not like it. */
static void call(int fd, __u32 handle, __u32 method, const struct drm_qda_call_arg *args,
		 __u32 count)
{
	struct drm_qda_call call = {
		.args = (uintptr_t)args,
		.handle = handle,
		.method = method,
		.arg_count = count,
		.arg_stride = sizeof(*args),
	};

	/*
	 * A signal ends the wait, but not what the DSP does: a call must not just
	 * be repeated. This program has no signal handlers.
	 */
	if (ioctl(fd, DRM_IOCTL_QDA_CALL, &call))
		die("call");
	if (call.result) {
		fprintf(stderr, "echo: method %u: the DSP answered %#x\n", method, call.result);
		exit(1);
	}
}

/* Loads a module of the DSP and gives its handle. */
static __u32 load(int fd, const char *uri)
{
	__u32 sizes[2] = { strlen(uri) + 1, LOADER_TEXT };
	__u32 answer[2] = { 0 };
	char text[LOADER_TEXT + 1] = "";
	struct drm_qda_call_arg args[] = {
		copied(DRM_QDA_ARG_IN, sizes, sizeof(sizes)),
		copied(DRM_QDA_ARG_IN, uri, sizes[0]),
		copied(DRM_QDA_ARG_OUT, answer, sizeof(answer)),
		copied(DRM_QDA_ARG_OUT, text, LOADER_TEXT),
	};

	call(fd, DRM_QDA_HANDLE_REMOTECTL, LOADER_OPEN, args, ARRAY_SIZE(args));
	if (answer[1]) {
		fprintf(stderr, "echo: %s: %s (%#x)\n", uri, text, answer[1]);
		exit(1);
	}
	return answer[0];
}

static void unload(int fd, __u32 module)
{
	__u32 ask[2] = { module, LOADER_TEXT };
	__u32 answer = 0;
	char text[LOADER_TEXT];
	struct drm_qda_call_arg args[] = {
		copied(DRM_QDA_ARG_IN, ask, sizeof(ask)),
		copied(DRM_QDA_ARG_OUT, &answer, sizeof(answer)),
		copied(DRM_QDA_ARG_OUT, text, sizeof(text)),
	};

	call(fd, DRM_QDA_HANDLE_REMOTECTL, LOADER_CLOSE, args, ARRAY_SIZE(args));
	if (answer)
		wrong("the module cannot be unloaded");
}

/*
 * A buffer and the CPU's view of it. The CPU looks at it only between calls, so it
 * is memory like any other.
 */
static unsigned char *make_buffer(int fd, __u64 size, __u32 *handle)
{
	struct drm_qda_gem_create create = { .size = size };
	struct drm_qda_gem_mmap_offset where = { 0 };
	void *view;

	if (ioctl(fd, DRM_IOCTL_QDA_GEM_CREATE, &create))
		die("making a buffer");
	where.handle = create.handle;
	if (ioctl(fd, DRM_IOCTL_QDA_GEM_MMAP_OFFSET, &where))
		die("asking where a buffer is mapped");
	view = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, where.offset);
	if (view == MAP_FAILED)
		die("mapping a buffer");
	*handle = create.handle;
	return view;
}

static void close_buffer(int fd, __u32 handle)
{
	struct drm_gem_close gem = { .handle = handle };

	if (ioctl(fd, DRM_IOCTL_GEM_CLOSE, &gem))
		die("closing a buffer");
}

/* What byte n of a buffer is filled with. */
static unsigned char pattern(size_t n)
{
	return (n ^ n >> 8) * 31 + 7;
}

/* Lets the module copy one buffer to another, and a part of it with a copied tail. */
static void send_buffers(int fd, __u32 module, __u32 from, __u32 to, unsigned char *result)
{
	static const char tail[] = "not in a buffer";
	char back[sizeof(tail)] = "";
	struct drm_qda_call_arg whole[] = {
		in_buffer(DRM_QDA_ARG_IN, from, 0, SIZE),
		in_buffer(DRM_QDA_ARG_OUT, to, 0, SIZE),
	};
	struct drm_qda_call_arg part[] = {
		in_buffer(DRM_QDA_ARG_IN, from, 5, 1000),
		copied(DRM_QDA_ARG_IN, tail, sizeof(tail)),
		in_buffer(DRM_QDA_ARG_OUT, to, 0, 1000),
		copied(DRM_QDA_ARG_OUT, back, sizeof(back)),
	};
	size_t n;

	call(fd, module, ECHO_METHOD, whole, ARRAY_SIZE(whole));
	for (n = 0; n < SIZE; n++)
		if (result[n] != pattern(n))
			wrong("a byte came back changed");

	call(fd, module, ECHO_METHOD, part, ARRAY_SIZE(part));
	for (n = 0; n < SIZE; n++)
		if (result[n] != pattern(n < 1000 ? n + 5 : n))
			wrong("a byte of a part came back changed");
	if (strcmp(back, tail))
		wrong("the copied argument came back changed");
	printf("echo: %d bytes there and back in buffers\n", SIZE);
}

/* One access of the CPU to a dma-buf: begins or ends it. */
static void sync_dma_buf(int dma_buf, __u64 flags)
{
	struct dma_buf_sync sync = { .flags = flags };
	int status;

	do
		status = ioctl(dma_buf, DMA_BUF_IOCTL_SYNC, &sync);
	while (status && (errno == EINTR || errno == EAGAIN));
	if (status)
		die("access to a dma-buf");
}

/* Passes a buffer on, as to another process, and takes it back. */
static void pass_on(int fd, __u32 handle)
{
	struct drm_prime_handle prime = {
		.handle = handle,
		.flags = DRM_CLOEXEC | DRM_RDWR,
	};
	struct drm_prime_handle again = { 0 };
	unsigned char *view;
	size_t n;

	if (ioctl(fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime))
		die("exporting a buffer");

	/* Whoever has the file descriptor can map the buffer, without the node. */
	view = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, prime.fd, 0);
	if (view == MAP_FAILED)
		die("mapping a dma-buf");
	sync_dma_buf(prime.fd, DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ);
	for (n = 0; n < SIZE; n++)
		if (view[n] != pattern(n))
			wrong("the dma-buf has other bytes");
	sync_dma_buf(prime.fd, DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ);

	/*
	 * The same buffer is the same handle again, in this file. One GEM_CLOSE
	 * ends it, however often it was imported.
	 */
	again.fd = prime.fd;
	if (ioctl(fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &again))
		die("importing a dma-buf");
	if (again.handle != handle)
		wrong("the buffer has another handle");
	munmap(view, SIZE);
	close(prime.fd);
	printf("echo: passed on as dma-buf\n");
}

int main(int argc, char **argv)
{
	int fd = open_dsp(argc > 1 ? argv[1] : "cdsp");
	unsigned char *source, *result;
	__u32 from, to, module;
	size_t n;

	start_process(fd);
	module = load(fd, ECHO_URI);

	source = make_buffer(fd, SIZE, &from);
	result = make_buffer(fd, SIZE, &to);
	for (n = 0; n < SIZE; n++)
		source[n] = pattern(n);

	send_buffers(fd, module, from, to, result);
	pass_on(fd, from);

	unload(fd, module);
	close_buffer(fd, from);
	close_buffer(fd, to);
	/* The views outlive handles, and they would outlive the DSP. */
	if (source[SIZE - 1] != pattern(SIZE - 1))
		wrong("the view ended with its handle");
	munmap(source, SIZE);
	munmap(result, SIZE);
	close(fd);
	return 0;
}

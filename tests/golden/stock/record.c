// SPDX-License-Identifier: GPL-2.0
/*
 * Has the stock driver (fastrpc.ko) send one message of each kind to the
 * simulated DSP, and prints for each what was asked for and what arrived.
 *
 * Everything about a message that a caller can know is printed from what this
 * program asked for, never from the message: arguments, data, thread, handle.
 * Addresses of buffers are found by looking for their content through the
 * simulator's probe module. The output is the input of ../from-capture, which
 * describes the format.
 *
 * Runs in the virtual machine, as root, alone; takes no arguments.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <misc/fastrpc.h>

#include "asked.h"

#define PAGE 4096ULL
/* Message buffers and dma-bufs lie in this last part of the first 4 GiB. */
#define WINDOW (16ULL << 20)

static void must(int fd, unsigned long code, void *arg, const char *what)
{
	int result = ioctl(fd, code, arg);

	if (result)
		die("%s: %d, %s", what, result, strerror(errno));
}

static int open_node(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	return fd;
}

/* A call without fd arguments; in and out buffers as the scalars say. Gives the result. */
static int invoke(int fd, uint32_t handle, uint32_t scalars, void *const *ptr, const uint64_t *len)
{
	struct fastrpc_invoke_args args[MAX_ARGS] = { 0 };
	struct fastrpc_invoke call = { handle, scalars, (uintptr_t)args };

	for (unsigned int i = 0; i < (scalars >> 16 & 0xff) + (scalars >> 8 & 0xff); i++)
		args[i] = (struct fastrpc_invoke_args){ (uintptr_t)ptr[i], len[i], -1, 0 };
	return ioctl(fd, FASTRPC_IOCTL_INVOKE, &call);
}

/* Opens a module through remotectl. With `asked` the message is recorded. */
static uint32_t module(int fd, const char *name, struct asked *asked)
{
	char uri[100], error[255] = "";
	uint32_t head[2] = { 0, sizeof(error) }, reply[2] = { 0, 0 };
	void *ptr[] = { head, uri, reply, error };
	uint64_t len[] = { sizeof(head), 0, sizeof(reply), sizeof(error) };

	snprintf(uri, sizeof(uri), "file:///lib%s_skel.so?%s_skel_handle_invoke&_modver=1.0",
		 name, name);
	head[0] = strlen(uri) + 1;
	len[1] = head[0];
	begin();
	if (invoke(fd, 8, 0x02020200, ptr, len) || reply[1])
		die("%s does not open: %s", name, error);
	if (asked) {
		asked->handle = 8;
		asked->scalars = 0x02020200;
		asked->args[0] = in(head, sizeof(head));
		asked->args[1] = in(uri, head[0]);
		asked->args[2] = out(sizeof(reply));
		asked->args[3] = out(sizeof(error));
		print(asked, keep());
	}
	return reply[0];
}

/* The page {address, size} of the init memory, from the simulator. */
static void init_memory(int fd, uint64_t page[2])
{
	uint32_t probe = module(fd, "probe", NULL);
	uint64_t where[4];
	void *ptr[] = { where };
	uint64_t len[] = { sizeof(where) };

	if (invoke(fd, probe, 0x04000100, ptr, len))
		die("probe does not say where things are");
	page[0] = where[2];
	page[1] = where[3];
}

/*
 * DSP addresses of the pages that begin with `pattern`, seen from the process of `fd`. Gives their
 * number, at most `max`. An address that does not translate is a fault for the simulator, but no
 * violation.
 */
static unsigned int find(int fd, uint64_t sid, const uint8_t pattern[16], uint64_t *found,
			 unsigned int max)
{
	uint32_t probe = module(fd, "probe", NULL);
	unsigned int number = 0;

	for (uint64_t offset = PAGE; offset <= WINDOW; offset += PAGE) {
		struct {
			uint64_t address;
			uint32_t len, zero;
		} where = { (sid << 32) + (1ULL << 32) - offset, 16, 0 };
		uint8_t data[16] = { 0 };
		void *ptr[] = { &where, data };
		uint64_t len[] = { sizeof(where), sizeof(data) };

		if (invoke(fd, probe, 0x02010100, ptr, len) == 0 && !memcmp(data, pattern, 16)) {
			if (number == max)
				die("the pattern is in too many pages");
			found[number++] = where.address;
		}
	}
	return number;
}

/* Creates a process and records the message and where its init memory is. Gives the file. */
static int create(const char *node, uint32_t attrs, int client, struct asked asked)
{
	struct fastrpc_init_create arg = { .filefd = -1, .attrs = attrs };
	int fd = open_node(node);
	char name[16], *kept;
	uint64_t page[2];

	begin();
	must(fd, FASTRPC_IOCTL_INIT_CREATE, &arg, "create");
	kept = keep();
	init_memory(fd, page);

	prctl(PR_GET_NAME, name);
	uint32_t request[6] = { client, strlen(name) + 1, 0, 1, attrs, 0 };

	asked.pd = 1;
	asked.handle = 1;
	asked.scalars = attrs ? 0x07040000 : 0x06040000;
	asked.args[0] = in(request, sizeof(request));
	asked.args[1] = in(name, strlen(name) + 1);
	asked.args[2] = in(NULL, 0);
	asked.args[3] = in(page, sizeof(page));
	print(&asked, kept);
	return fd;
}

/* Closes the last reference to a file, and records the release of client `client`. */
static void release(int fd, uint32_t client, struct asked asked)
{
	char *kept;

	begin();
	close(fd);
	kept = keep();
	asked.handle = 1;
	asked.scalars = 0x01010000;
	asked.args[0] = in(&client, sizeof(client));
	print(&asked, kept);
}

static void attach(unsigned long code, int pd, struct asked asked, struct asked end)
{
	int fd = open_node("/dev/fastrpc-adsp");
	uint32_t client = 1;
	char *kept;

	begin();
	must(fd, code, NULL, "attach");
	kept = keep();
	asked.pd = pd;
	end.pd = pd;
	asked.handle = 1;
	asked.scalars = 0x00010000;
	asked.args[0] = in(&client, sizeof(client));
	print(&asked, kept);
	release(fd, client, end);
}

static void capabilities(int fd)
{
	struct fastrpc_ioctl_capability arg = { .attribute_id = 6 };
	uint32_t count = 255;
	char *kept;
	struct asked asked = { .name = "stock-capabilities", .sections = "11 12", .pd = 1,
		.why = "GET_DSP_INFO for the first time on this channel, from client 1.",
		.handle = 2, .scalars = 0x00010100 };

	begin();
	must(fd, FASTRPC_IOCTL_GET_DSP_INFO, &arg, "GET_DSP_INFO");
	kept = keep();
	asked.args[0] = in(&count, sizeof(count));
	asked.args[1] = out(count * 4);
	print(&asked, kept);
}

static void calculator(int fd)
{
	static const int32_t numbers[] = { 3, -5, 70000, 0x7fffffff };
	uint32_t count = 4;
	int64_t sum = 0;
	int32_t max = 0;
	char *kept;
	void *ptr[] = { &count, (void *)numbers, &sum };
	uint64_t len[] = { sizeof(count), sizeof(numbers), sizeof(sum) };
	struct asked asked = { .name = "stock-remotectl-open", .sections = "6 7 8 10",
		.sender = 1, .pd = 1, .why = "INVOKE of client 1: opens the calculator." };

	asked.handle = module(fd, "calculator", &asked);
	begin();
	if (invoke(fd, asked.handle, 0x02020100, ptr, len) || sum != 2147553645LL)
		die("the sum is %lld", (long long)sum);
	kept = keep();
	asked.name = "stock-calculator-sum";
	asked.sections = "6 7 8";
	asked.why = "INVOKE of client 1: sum of four numbers.";
	asked.scalars = 0x02020100;
	asked.args[0] = in(&count, sizeof(count));
	asked.args[1] = in(numbers, sizeof(numbers));
	asked.args[2] = out(sizeof(sum));
	print(&asked, kept);

	begin();
	ptr[2] = &max;
	len[2] = sizeof(max);
	if (invoke(fd, asked.handle, 0x03020100, ptr, len) || max != 0x7fffffff)
		die("the maximum is %d", max);
	kept = keep();
	asked.name = "stock-calculator-max";
	asked.why = "INVOKE of client 1: maximum of four numbers.";
	asked.scalars = 0x03020100;
	asked.args[2] = out(sizeof(max));
	print(&asked, kept);
}

static void echo(int fd)
{
	static uint8_t first[5] = { 1, 2, 3, 4, 5 }, third[129], first_back[5], third_back[129];
	void *ptr[] = { first, NULL, third, first_back, NULL, third_back };
	uint64_t len[] = { 5, 0, 129, 5, 0, 129 };
	char *kept;
	struct asked asked = { .name = "stock-echo-empty", .sections = "6 7 8",
		.sender = 1, .pd = 1,
		.why = "INVOKE of client 1: 3 in and 3 out buffers of 5, 0 and 129 bytes.",
		.scalars = 0x02030300 };

	for (unsigned int i = 0; i < sizeof(third); i++)
		third[i] = 255 - i;
	asked.handle = module(fd, "echo", NULL);
	begin();
	if (invoke(fd, asked.handle, asked.scalars, ptr, len) ||
	    memcmp(third, third_back, sizeof(third)))
		die("echo does not give back its inputs");
	kept = keep();
	for (unsigned int i = 0; i < 3; i++) {
		asked.args[i] = in(ptr[i], len[i]);
		asked.args[3 + i] = out(len[i]);
	}
	print(&asked, kept);

	begin();
	asked.name = "stock-no-arguments";
	asked.why = "INVOKE of client 1: echo without buffers.";
	asked.scalars = 0x02000000;
	if (invoke(fd, asked.handle, asked.scalars, NULL, NULL))
		die("echo without buffers fails");
	kept = keep();
	print(&asked, kept);
}

/* MEM_MAP of a dma-buf, a call with a part of it as argument, MEM_UNMAP. */
static void memory(int fd, uint64_t sid)
{
	static const uint8_t pattern[16] = "golden vectors!";
	struct fastrpc_alloc_dma_buf buffer = { .size = 2 * PAGE };
	uint8_t *bytes, back[150] = { 0 };
	uint64_t before[4], after[4], address = 0;
	unsigned int old, new;
	uint32_t module_handle = module(fd, "echo", NULL);

	must(fd, FASTRPC_IOCTL_ALLOC_DMA_BUFF, &buffer, "ALLOC_DMA_BUFF");
	bytes = mmap(NULL, buffer.size, PROT_READ | PROT_WRITE, MAP_SHARED, buffer.fd, 0);
	if (bytes == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	memcpy(bytes, pattern, sizeof(pattern));
	old = find(fd, sid, pattern, before, 4);

	struct fastrpc_mem_map map = { .fd = buffer.fd, .flags = FASTRPC_MAP_FD,
		.vaddrin = (uintptr_t)bytes, .length = buffer.size };
	struct asked asked = { .name = "stock-mem-map", .sections = "11 14", .pd = 1,
		.why = "MEM_MAP of client 1 with flag FD: two pages of ALLOC_DMA_BUFF.",
		.handle = 1, .scalars = 0x0a030100 };
	char *kept;

	begin();
	must(fd, FASTRPC_IOCTL_MEM_MAP, &map, "MEM_MAP");
	kept = keep();

	/* The buffer was mapped once for ALLOC_DMA_BUFF; the new address is that of MEM_MAP. */
	new = find(fd, sid, pattern, after, 4);
	if (new != old + 1)
		die("the buffer is at %u addresses, before MEM_MAP at %u", new, old);
	for (unsigned int i = 0; i < new && !address; i++)
		if (i == old || after[i] != before[i])
			address = after[i];

	struct {
		int32_t client, fd, offset;
		uint32_t flags;
		uint64_t hint;
		int32_t pages_len, data_len;
	} request = { 1, buffer.fd, 0, FASTRPC_MAP_FD, (uintptr_t)bytes, 16, 0 };
	uint64_t page[2] = { address, buffer.size };

	asked.args[0] = in(&request, sizeof(request));
	asked.args[1] = in(page, sizeof(page));
	asked.args[2] = in(NULL, 0);
	asked.args[3] = out(8);
	print(&asked, kept);

	/* From byte 4000 on: into the second page. */
	struct fastrpc_invoke_args args[] = {
		{ (uintptr_t)bytes + 4000, sizeof(back), buffer.fd, 0 },
		{ (uintptr_t)back, sizeof(back), -1, 0 },
	};
	struct fastrpc_invoke call = { module_handle, 0x02010100, (uintptr_t)args };

	for (unsigned int i = 0; i < sizeof(back); i++)
		bytes[4000 + i] = i;
	begin();
	must(fd, FASTRPC_IOCTL_INVOKE, &call, "echo with a buffer");
	kept = keep();
	if (memcmp(back, bytes + 4000, sizeof(back)))
		die("echo does not give back the buffer");
	asked = (struct asked){ .name = "stock-echo-mapped", .sections = "6 7 8",
		.sender = 1, .pd = 1, .why = "INVOKE of client 1: in[0] is 150 bytes of a dma-buf.",
		.handle = module_handle, .scalars = 0x02010100 };
	asked.args[0] = (struct arg){ .class = MAPPED, .len = sizeof(back), .pv = args[0].ptr,
		.address = address + 4000 };
	asked.args[1] = out(sizeof(back));
	print(&asked, kept);

	struct fastrpc_mem_unmap unmap = { .fd = buffer.fd, .vaddr = map.vaddrout,
		.length = buffer.size };
	struct {
		int32_t client, fd;
		uint64_t address, len;
	} unmap_request = { 1, buffer.fd, map.vaddrout, buffer.size };

	begin();
	must(fd, FASTRPC_IOCTL_MEM_UNMAP, &unmap, "MEM_UNMAP");
	kept = keep();
	asked = (struct asked){ .name = "stock-mem-unmap", .sections = "11", .pd = 1,
		.why = "MEM_UNMAP of client 1, with the address that MEM_MAP gave.",
		.handle = 1, .scalars = 0x0b010000 };
	asked.args[0] = in(&unmap_request, sizeof(unmap_request));
	print(&asked, kept);
	munmap(bytes, buffer.size);
	close(buffer.fd);
}

/*
 * A call with a buffer in handle position. The stock driver maps it anew for the call and keeps it
 * mapped, so that afterwards it is at one address more.
 */
static void handle(int fd, uint64_t sid)
{
	static const uint8_t pattern[16] = "golden handles!";
	struct fastrpc_alloc_dma_buf buffer = { .size = 2 * PAGE };
	uint64_t before[4], after[4], seed = 0, sum[2], address = 0;
	uint32_t mem = module(fd, "mem", NULL);
	unsigned int old, new;
	uint8_t *bytes;
	char *kept;

	must(fd, FASTRPC_IOCTL_ALLOC_DMA_BUFF, &buffer, "ALLOC_DMA_BUFF");
	bytes = mmap(NULL, buffer.size, PROT_READ | PROT_WRITE, MAP_SHARED, buffer.fd, 0);
	if (bytes == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	memcpy(bytes, pattern, sizeof(pattern));
	old = find(fd, sid, pattern, before, 4);

	/* Method touch: reads the range and gives its sum. */
	struct fastrpc_invoke_args args[] = {
		{ (uintptr_t)&seed, sizeof(seed), -1, 0 },
		{ (uintptr_t)sum, sizeof(sum), -1, 0 },
		{ 4095, 3, buffer.fd, 0 },
	};
	struct fastrpc_invoke call = { mem, 0x06010110, (uintptr_t)args };

	bytes[4095] = 100;
	bytes[4096] = 20;
	bytes[4097] = 3;
	begin();
	must(fd, FASTRPC_IOCTL_INVOKE, &call, "touch of a handle");
	kept = keep();
	if (sum[0] != 123)
		die("the sum of the handle's bytes is %llu", (unsigned long long)sum[0]);
	new = find(fd, sid, pattern, after, 4);
	if (new != old + 1)
		die("the buffer is at %u addresses, before the call at %u", new, old);
	for (unsigned int i = 0; i < new && !address; i++)
		if (i == old || after[i] != before[i])
			address = after[i];

	struct asked asked = { .name = "stock-handle", .sections = "7 8", .sender = 1, .pd = 1,
		.why = "INVOKE of client 1: one in handle, 3 bytes from byte 4095 of a dma-buf.",
		.handle = mem, .scalars = 0x06010110 };

	asked.args[0] = in(&seed, sizeof(seed));
	asked.args[1] = out(sizeof(sum));
	asked.args[2] = (struct arg){ .class = HANDLE, .len = 3, .address = address,
		.fd = buffer.fd, .offset = 4095, .size = buffer.size };
	print(&asked, kept);
	munmap(bytes, buffer.size);
	close(buffer.fd);
}

/* MMAP of pages that the driver allocates, and MUNMAP. */
static void heap(int fd, uint64_t sid)
{
	struct fastrpc_req_mmap map = { .fd = -1, .flags = 0x1000, .size = 2 * PAGE };
	uint64_t seed = 0x676f6c64656e, used[3], address;
	void *ptr[] = { &seed, used };
	uint64_t len[] = { sizeof(seed), sizeof(used) };
	char *kept;
	struct asked asked = { .name = "stock-mmap", .sections = "11 14", .pd = 1,
		.why = "MMAP of client 1: two pages for the heap.",
		.handle = 1, .scalars = 0x04020100 };

	begin();
	must(fd, FASTRPC_IOCTL_MMAP, &map, "MMAP");
	kept = keep();

	/* Method heap of module mem leaves a stream of words there that the seed determines. */
	uint64_t stream[2] = { seed * 0x9e3779b97f4a7c15, (seed + 1) * 0x9e3779b97f4a7c15 };

	if (invoke(fd, module(fd, "mem", NULL), 0x0c010100, ptr, len) ||
	    used[0] != 1 || used[1] != map.size || used[2])
		die("the heap cannot be used");
	if (find(fd, sid, (const uint8_t *)stream, &address, 1) != 1)
		die("the heap is not found");

	struct {
		int32_t client;
		uint32_t flags;
		uint64_t hint;
		int32_t pages_len, zero;
	} request = { 1, 0x1000, 0, 16, 0 };
	uint64_t page[2] = { address, map.size };

	asked.args[0] = in(&request, sizeof(request));
	asked.args[1] = in(page, sizeof(page));
	asked.args[2] = out(8);
	print(&asked, kept);

	struct fastrpc_req_munmap unmap = { .vaddrout = map.vaddrout, .size = map.size };
	struct {
		int32_t client, zero;
		uint64_t address, len;
	} unmap_request = { 1, 0, map.vaddrout, map.size };

	begin();
	must(fd, FASTRPC_IOCTL_MUNMAP, &unmap, "MUNMAP");
	kept = keep();
	asked = (struct asked){ .name = "stock-munmap", .sections = "11", .pd = 1,
		.why = "MUNMAP of client 1, with the address that MMAP gave.",
		.handle = 1, .scalars = 0x05010000 };
	asked.args[0] = in(&unmap_request, sizeof(unmap_request));
	print(&asked, kept);
}

int main(void)
{
	struct utsname system;
	uint64_t page[2];
	int first, second;

	uname(&system);
	printf("system fastrpc.ko of Linux %s\n", system.release);

	dsp = "cdsp";
	first = create("/dev/fastrpc-cdsp", FASTRPC_MODE_UNSIGNED_MODULE, 1,
		(struct asked){ .name = "stock-create-attr", .sections = "7 8 11 13",
			.why = "INIT_CREATE of client 1 without shell, attribute unsigned." });
	capabilities(first);
	calculator(first);
	echo(first);
	init_memory(first, page);
	memory(first, page[0] >> 32);
	heap(first, page[0] >> 32);
	handle(first, page[0] >> 32);
	second = create("/dev/fastrpc-cdsp-secure", 0, 2,
		(struct asked){ .name = "stock-create", .sections = "7 8 11 13",
			.why = "INIT_CREATE of client 2 without shell and attributes." });
	release(second, 2, (struct asked){ .name = "stock-release", .sections = "11 13", .pd = 1,
		.why = "close by client 2, which has a process." });

	dsp = "adsp";
	attach(FASTRPC_IOCTL_INIT_ATTACH, 0,
		(struct asked){ .name = "stock-attach", .sections = "4 11 13",
			.why = "INIT_ATTACH of client 1." },
		(struct asked){ .name = "stock-release-root", .sections = "4 11 13",
			.why = "close by client 1, which is attached to the root PD." });
	attach(FASTRPC_IOCTL_INIT_ATTACH_SNS, 2,
		(struct asked){ .name = "stock-attach-sensors", .sections = "4 11 13",
			.why = "INIT_ATTACH_SNS of client 1." },
		(struct asked){ .name = "stock-release-sensors", .sections = "4 11 13",
			.why = "close by client 1, which is attached to the sensors PD." });
	return 0;
}

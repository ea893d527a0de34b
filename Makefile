# SPDX-License-Identifier: GPL-2.0
#
# The commands of the project. Kbuild describes the module itself; the work is done by scripts/.
# Everything slow is kept in $XDG_CACHE_HOME/qda (~/.cache/qda), everything else is made below build/.

INPUT ?= tests/data/numbers.txt
PICTURE ?= tests/data/picture.png
OUT ?=
export KERNEL_DEBS DEBIAN_MIRROR VERBOSE TIMEOUT
export QDA_TARGET = $(MAKECMDGOALS)

.PHONY: help run test sanitize check miri fuzz mutants modules shell fmt refresh clean

help:
	@echo 'make run [INPUT=file]    let a simulated DSP sum the integers of a file (one per line) and find'
	@echo '                         their maximum, and draw the edges of a picture (PICTURE=in.png OUT=out.png), on the'
	@echo '                         stock kernel in a virtual machine'
	@echo 'make test                everything that proves the tree; ends with "N passed, N failed, N skipped"'
	@echo 'make sanitize            every guest suite on the kernel with sanitizers, which takes most of an hour'
	@echo 'make check               the part of it that needs no guest and takes seconds'
	@echo 'make fuzz MINUTES=n      let the fuzzers of decoders, ioctls and packets run for n minutes (default 10)'
	@echo 'make mutants             break one defence after the other, and look whether the tests notice; takes hours'
	@echo "make miri                the protocol's tests under Miri, if this machine has a nightly toolchain with it"
	@echo 'make shell               an interactive guest with the modules and programs'
	@echo 'make modules             qda.ko and the simulator for the stock kernel, below build/'
	@echo 'make modules KDIR=dir    qda.ko for your own kernel (its build folder), with your own tools'
	@echo 'make fmt                 format all Rust code'
	@echo 'make refresh             look for a newer patch level of the stock kernel next time'
	@echo 'make clean               remove build/ (the cache stays)'
	@echo
	@echo 'VERBOSE=1 shows the kernel messages of the guest. KERNEL_DEBS=folder takes the kernel packages from a'
	@echo 'folder, DEBIAN_MIRROR=address overrides the mirror of apt. run, test, check and shell need root rights.'

run:
	@scripts/run "$(INPUT)" "$(PICTURE)" "$(OUT)"

test:
	@scripts/test

sanitize:
	@scripts/test --sanitize

check:
	@scripts/test --host

miri:
	@scripts/miri

fuzz:
	@scripts/fuzz --minutes "$(or $(MINUTES),10)"

mutants:
	@scripts/mutants

modules:
	@scripts/modules $(if $(KDIR),--kdir "$(KDIR)")

shell:
	@scripts/all && scripts/vm shell

fmt:
	@scripts/fmt

refresh:
	@scripts/kernel refresh

clean:
	@rm -rf build

# SPDX-License-Identifier: GPL-2.0
#
# Faults of the kernel's memory functions in every operation. Needs a kernel with fault injection.

. /host/lib.sh

# set_fault NAME SETTING VALUE: one setting of the kernel's fault injection.
set_fault() {
	echo "$3" >"/sys/kernel/debug/$1/$2" || bail "this kernel does not inject faults by $1 ($2)"
}

# Allocations of every kind count, also those that may sleep and single pages for user space; nothing fails by chance and
# nothing is said about it.
for name in failslab fail_page_alloc fail_usercopy; do
	set_fault $name probability 0
	set_fault $name verbose 0
done
set_fault failslab ignore-gfp-wait N
set_fault fail_page_alloc ignore-gfp-wait N
set_fault fail_page_alloc ignore-gfp-highmem N
set_fault fail_page_alloc min-order 0
modprobe vgem || bail "vgem.ko does not load"
load_qda
load_sim
wait_nodes 2

# What the leak detector allocates for itself does not count: nobody would notice, and it would double the number of points. Its
# caches are left out, and its entry points, which lie one behind the other.
for file in /sys/kernel/slab/*/failslab; do
	case $file in
	*/kmemleak*) ;;
	*) echo 1 >"$file" || bail "$file takes nothing" ;;
	esac
done
set_fault failslab cache-filter Y
QDA_DETECTOR=$(awk '$3 == "kmemleak_alloc" { begin = "0x" $1 }
	begin && $3 !~ /^kmemleak_/ { print begin, "0x" $1; exit }' /proc/kallsyms)
[ -n "$QDA_DETECTOR" ] || bail "the leak detector's functions are not where they were"
export QDA_DETECTOR
for name in failslab fail_page_alloc; do
	set_fault $name reject-start "${QDA_DETECTOR% *}"
	set_fault $name reject-end "${QDA_DETECTOR#* }"
done
qda-guest-test faults

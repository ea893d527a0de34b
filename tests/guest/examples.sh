# SPDX-License-Identifier: GPL-2.0
#
# The example programs and "qdactl filter", against the simulated DSP; vgem is the other driver that buffers come from. Each program
# ends with status 0 only if everything was as it expects, and must leave nothing behind: no process, no mapping, no dma-buf.
#
# covers: T156 (worked examples, built and run)

. /host/lib.sh

load_sim
load_qda
modprobe vgem || bail "vgem.ko does not load"
wait_nodes 2
card=$(basename "$(ls -d /sys/devices/faux/vgem/drm/card* /sys/devices/platform/vgem/drm/card* 2>/dev/null | head -n 1)")
[ -e "/dev/dri/$card" ] || bail "vgem has no node: $(ls /dev/dri 2>&1)"

sim=/sys/kernel/debug/qda_sim

# left_behind: what a program left on the simulated DSP, in words.
left_behind() {
	awk '$1 ~ /^(live_processes|mappings|held)$/ && $2 != 0 { print $1 " on the DSP: " $2 }' $sim/counters
}

failed=0
number=0
# example NAME COMMAND...: one test.
example() {
	name=$1
	shift
	number=$((number + 1))
	status=0
	qda-guest-test --checked "$name" "$@" >/tmp/output 2>&1 || status=$?
	sed "s/^/# /" /tmp/output
	problems=$(left_behind)
	if [ $status = 0 ] && [ -z "$problems" ]; then
		echo "ok $number $name"
	else
		echo "# status $status"
		[ -z "$problems" ] || echo "$problems" | sed "s/^/# /"
		echo "not ok $number $name"
		failed=1
	fi
}

# What is more than a command runs in a shell of its own.
cat >/tmp/functions <<'END'
# The table says that no pixel was copied, and the file is a PNG file.
filter() {
	rm -f /tmp/out.png
	qdactl --json filter /host/picture.png /tmp/out.png >/tmp/filter.json || return
	cat /tmp/filter.json
	grep -q '"agree": true' /tmp/filter.json || return
	grep -q '"bytes_copied": 16,' /tmp/filter.json || return
	grep -q '"pixel_bytes_copied": 0,' /tmp/filter.json || return
	[ "$(head -c 4 /tmp/out.png | tail -c 3)" = PNG ]
}

# A result that cannot be written is status 9, and nothing is left of it.
filter_without_place() {
	mkdir -p /tmp/place/out.png/full
	qdactl filter /host/picture.png /tmp/place/out.png
	[ $? = 9 ] || return
	[ "$(ls -A /tmp/place)" = out.png ]
}
"$1"
END

echo "KTAP version 1"
leaks=0
[ ! -e /sys/kernel/debug/kmemleak ] || leaks=1
echo "1..$((8 + leaks))"
example rust-echo example-rust-echo
example rust-buffer-and-c-lend example-c-lend "/dev/dri/$card" example-rust-buffer cdsp -
example rust-buffer-other-dsp example-rust-buffer adsp
example c-echo example-c-echo
example c-echo-other-dsp example-c-echo adsp
example filter sh /tmp/functions filter
example filter-without-place sh /tmp/functions filter_without_place
# A program that cannot get what it needs says so.
example no-such-dsp sh -c '! example-c-echo no-such-dsp && ! example-rust-buffer no-such-dsp'
qda-guest-test --end $((number + 1)) || failed=1
exit $failed

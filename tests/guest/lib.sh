# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# Shared by the scripts of this folder, which run in the guest: loading modules and waiting for nodes.
# Each script is the whole of a suite; it ends with the status of qda-guest-test, whose KTAP it prints.

# bail TEXT: the suite cannot start. KTAP calls this a bail-out; it counts as a failure.
bail() {
	echo "Bail out! $*"
	exit 1
}

# wait_for SECONDS COMMAND...: until COMMAND succeeds.
wait_for() {
	ticks=$(($1 * 20))
	shift
	while ! "$@" >/dev/null 2>&1; do
		ticks=$((ticks - 1))
		[ $ticks -gt 0 ] || return 1
		usleep 50000
	done
}

# load_sim [PARAMETER...]: the simulated DSPs. "inline" makes them answer inside send.
load_sim() {
	case ${1:-} in
	inline)
		shift
		set -- inline_answers=1 "$@"
		;;
	esac
	modprobe qda_sim "$@" || bail "qda_sim.ko does not load"
	[ -e /sys/kernel/debug/qda_sim/violations ] || bail "the simulator has no debug files"
}

# load_qda [PARAMETER...]: our driver; with load_sim in either order.
load_qda() {
	modprobe qda "$@" || bail "qda.ko does not load"
}

# load_stock: the stock kernel's own driver.
load_stock() {
	modprobe fastrpc || bail "fastrpc.ko does not load"
}

# nodes NUMBER: that many accel nodes are there.
nodes() {
	# shellcheck disable=SC2012
	[ "$(ls /dev/accel 2>/dev/null | wc -l)" = "$1" ]
}

# wait_nodes NUMBER: waits for the accel nodes of so many DSPs.
wait_nodes() {
	wait_for 15 nodes "$1" || bail "there are no $1 accel nodes: $(ls /dev/accel 2>&1)"
}

# fuzz_rounds SUITE[.CASE]: runs it once, or, when the host says for how long in fuzz.conf, again and again with new seeds until
# something is found or the time is over. QDA_FUZZ_SEED is in the environment of each run.
fuzz_rounds() {
	[ ! -e /host/fuzz.conf ] || . /host/fuzz.conf
	if [ -z "${QDA_FUZZ_SECONDS:-}" ]; then
		qda-guest-test "$1"
		return
	fi
	read -r now _ </proc/uptime
	end=$((${now%.*} + QDA_FUZZ_SECONDS))
	while [ "${now%.*}" -lt "$end" ]; do
		echo "# seed $QDA_FUZZ_SEED, $((end - ${now%.*})) s to go"
		qda-guest-test "$1" || return
		QDA_FUZZ_SEED=$((QDA_FUZZ_SEED + 1))
		read -r now _ </proc/uptime
	done
}

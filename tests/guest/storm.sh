# SPDX-License-Identifier: GPL-2.0
#
# DSPs and modules that come and go under load. Afterwards the machine is switched off with clients in the middle of everything:
# calls parked, delayed and under way, buffers mapped, a process that ends but is not released by the DSP. A machine that hangs then
# runs into the time limit, and a complaint of the kernel fails the run like any other.
# covers: T125

. /host/lib.sh

load_qda
load_sim
wait_nodes 2
qda-guest-test storm
status=$?

# client ROLE...: runs until the machine is off.
client() {
	qda-guest-test --child "$@" >/dev/null 2>&1 </dev/null &
	clients="$clients $!"
}

clients=
client park cdsp
ended=$!
client park cdsp
client buffers cdsp
client delay adsp 20
client busy adsp 1000000
# In this shell a sum of answers is awkward to wait for: two seconds, as many times as the kernel is slower.
sleep $((2 * ${QDA_SLOWNESS:-1}))
echo "ignore release" >/sys/kernel/debug/qda_sim/cdsp/control
kill -9 "$ended"
sleep 1
for pid in $clients; do
	[ -d "/proc/$pid/fd" ] || { echo "# client $pid has ended before the machine"; status=1; }
done
grep -q '^sessions 3$' /sys/kernel/debug/qda-cdsp/status || { echo "# not three sessions of cdsp at the end"; status=1; }
exit $status

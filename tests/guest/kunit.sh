# SPDX-License-Identifier: GPL-2.0
#
# The unit tests of the protocol and of the engine inside qda.ko, on a kernel with KUnit (boot parameter kunit.autorun=1). They run when
# the module is loaded; debugfs keeps their results as KTAP, one file for each suite.
#
# covers: T143, T188 (the slots of calls are tested where the receive callback uses them; call and call-inline are the two transports)

. /host/lib.sh

results=/sys/kernel/debug/kunit
[ -d $results ] || bail "this kernel has no KUnit"

failed=0
load_qda

suites=$(cd $results && ls -d qda_*)
# shellcheck disable=SC2086
set -- $suites
number=0
echo "KTAP version 1"
echo "1..$(($# + 2))"
for suite in "$@"; do
	number=$((number + 1))
	# The file has a plan and a last line of its own around the suite's tests: their number here is another one.
	awk -v number=$number '
		/^(KTAP version|1\.\.)/ { next }
		/^(not )?ok [0-9]+/ { sub(/ok [0-9]+/, "ok " number) }
		{ print }' "$results/$suite/results"
	grep -q '^ok ' "$results/$suite/results" || failed=1
done

# A suite that did not get into the module, or whose cases were lost, would be missed by nobody.
number=$((number + 1))
tests=$(cat $results/qda_*/results | grep -cE '^    ok ')
if [ $# -ge 10 ] && [ "$tests" -ge 80 ]; then
	echo "ok $number all_suites # $# suites, $tests tests passed"
else
	echo "not ok $number all_suites # only $# suites with $tests passed tests"
	failed=1
fi
echo "# figure KUnit tests: $tests"

number=$((number + 1))
qda-guest-test --end $number || failed=1
exit $failed

# SPDX-License-Identifier: GPL-2.0
#
# Storms of packets and the packet fuzzer, beside calls.
#
# /host/fuzz.conf, if it is there, may set QDA_FUZZ_SECONDS and QDA_FUZZ_SEED: then the fuzzer alone runs again and again for that
# time, with another seed each time. The first failure ends it.

. /host/lib.sh

# shellcheck disable=SC1091
[ ! -e /host/fuzz.conf ] || . /host/fuzz.conf

load_qda
load_sim
wait_nodes 2
if [ -z "${QDA_FUZZ_SECONDS:-}" ]; then
	qda-guest-test packets
	exit
fi
fuzz_rounds packets.fuzz

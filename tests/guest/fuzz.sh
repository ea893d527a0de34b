# SPDX-License-Identifier: GPL-2.0
#
# Ioctl fuzzer. Small limits, so that no request for gigabytes is a good one. For a long run the host says in fuzz.conf how long
# (scripts/fuzz).

. /host/lib.sh

load_qda max_buffer_mib=8 max_file_mib=24
load_sim
wait_nodes 2
fuzz_rounds fuzz

# SPDX-License-Identifier: GPL-2.0
#
# Limits of clients. The module has small ones; cases about shares load it anew by themselves.

. /host/lib.sh

load_qda max_buffer_mib=2 max_file_mib=3 max_dsp_mib=8 max_file_buffers=20 max_calls=6 max_inline_mib=1
load_sim
wait_nodes 2
qda-guest-test limits

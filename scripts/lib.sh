# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Shared by the scripts of this folder: paths, messages, requirements of the machine, and the cache.
# Sourced, never run. Standard output of a script is its result; everything said to people goes to standard error.

set -euo pipefail
shopt -s inherit_errexit

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
top=$(dirname "$scripts")
build=${QDA_BUILD:-$top/build}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/qda
# Lines of the form "# scripts/name ..." at the head of a script are its --help text.
self=$0
# The stock kernel's exported Rust symbols carry a hash of this compiler's version: no other one will do.
# shellcheck disable=SC2034
rustc_version=1.85.1

say() { printf '%s\n' "$*" >&2; }
die() { printf '%s: %s\n' "$(basename "$self")" "$*" >&2; exit 1; }
usage() { awk 'NR > 2 && !/^#/ { exit } NR > 2 { sub(/^# ?/, ""); print }' "$self"; exit 0; }
elapsed() { printf '%s' "$(( $(date +%s) - $1 ))"; }

# need_machine: what every step in the build root asks of the machine. The first line says what is missing
# and the command that gets it.
need_machine() {
	local missing=() pair
	for pair in apt-get:apt dpkg-deb:dpkg perl:perl flock:util-linux unshare:util-linux chroot:coreutils \
		sha256sum:coreutils tar:tar awk:mawk find:findutils; do
		command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
	done
	# mmdebstrap uses modules of the full perl package, which a minimal system does not have.
	if command -v perl >/dev/null && ! perl -MPod::Usage -MMath::BigInt -e 1 2>/dev/null; then
		missing+=(perl)
	fi
	if ((${#missing[@]})); then
		mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
		die "missing base packages: ${missing[*]}. Get them with: sudo apt-get install ${missing[*]}"
	fi
	if [ "$(id -u)" != 0 ]; then
		die "root rights are missing (the build root is a chroot). Get them with: sudo make ${QDA_TARGET:-run}"
	fi
	if ! unshare --mount true 2>/dev/null; then
		die "the right to mount is missing (CAP_SYS_ADMIN). In a container get it with: docker run --privileged"
	fi
	case $(dpkg --print-architecture) in
	amd64) ;;
	*) die "this machine is $(dpkg --print-architecture); the build root is only made on amd64" ;;
	esac
}

# need_space DIR MIB WHAT: refuse to start what would fill the disk.
need_space() {
	local free
	mkdir -p "$1"
	free=$(df --output=avail -m "$1" | awk 'NR == 2 { print $1 }')
	if ((free < $2)); then
		die "$3 needs $2 MiB in $1, only $free MiB are free. Free some space, or set XDG_CACHE_HOME to a folder on another disk"
	fi
}

# logged LABEL LOG COMMAND...: run a long command with its output in LOG. Says when it starts, how it goes on and how long it
# took; shows the end of LOG when it fails. The command stays in the foreground, so that Ctrl-C reaches it.
logged() {
	local label=$1 log=$2 start rc=0 ticker shell=$BASHPID
	shift 2
	start=$(date +%s)
	mkdir -p "$(dirname "$log")"
	say "==> $label"
	(
		n=0
		# Background processes ignore Ctrl-C: this one ends with its shell.
		while kill -0 "$shell" 2>/dev/null && sleep 1 </dev/null >/dev/null 2>&1; do
			n=$((n + 1))
			((n % 20)) || say "    $label: $n s, $(tail -n 1 "$log" 2>/dev/null | tr -d '\r' | cut -c1-90)"
		done
	) 9>&- &
	ticker=$!
	"$@" >"$log" 2>&1 || rc=$?
	kill "$ticker" 2>/dev/null || true
	wait "$ticker" 2>/dev/null || true
	if ((rc)); then
		say "*** $label failed after $(elapsed "$start") s (status $rc). The end of $log:"
		tail -n 25 "$log" | sed 's/^/    | /' >&2
		return "$rc"
	fi
	say "    $label: done in $(elapsed "$start") s"
}

# hash_of: the short name of what comes on standard input.
hash_of() { sha256sum | cut -c1-12; }

# take_lock FILE: hold FILE's lock until this process ends.
take_lock() {
	exec 9>"$1"
	if ! flock --nonblock 9; then
		say "==> waiting for another process that holds $1"
		flock 9
	fi
}

# cache_entry DIR MAKER ARGS...: make the folder DIR once. MAKER is called with a temporary folder beside DIR, which becomes DIR only
# when MAKER succeeds. Runs in a subshell so that its traps are its own; a lock keeps other processes out.
cache_entry() (
	entry=$1 maker=$2
	shift 2
	[ ! -d "$entry" ] || { touch -c "$entry.lock"; exit 0; }
	mkdir -p "$(dirname "$entry")"
	take_lock "$entry.lock"
	[ ! -d "$entry" ] || exit 0
	# Whoever holds the lock owns all the temporary folders: they are what a killed process left.
	rm -rf --one-file-system "$entry".tmp.*
	tmp=$entry.tmp.$$
	mkdir "$tmp"
	trap 'rc=$?; trap "" INT TERM; rm -rf --one-file-system "$tmp"; exit $rc' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	trap 'exit 129' HUP
	"$maker" "$tmp" "$@"
	# What is not on the disk when the machine goes down must not look complete after it.
	sync -f "$tmp"
	mv -T "$tmp" "$entry"
	drop_old "$(dirname "$entry")"
)

# drop_old DIR: entries of DIR that nobody used for 30 days go. The lock file's time is the time of the last use.
drop_old() {
	local lock
	find "$1" -maxdepth 1 -name '*.lock' -mtime +30 | while read -r lock; do
		flock --nonblock "$lock" rm -rf --one-file-system "${lock%.lock}" "$lock" || true
	done
}

# debian_mirror: the Debian archive that this machine's apt uses. apt itself reads its files, so both source formats,
# disabled entries and included folders are treated as apt treats them.
debian_mirror() {
	local uri
	if [ -n "${DEBIAN_MIRROR:-}" ]; then
		printf '%s\n' "${DEBIAN_MIRROR%/}"
		return
	fi
	uri=$(apt-get -o Debug::NoLocking=1 update --print-uris 2>/dev/null |
		sed -nE "s,^'(.*)/dists/(trixie|forky|bookworm|bullseye|sid|stable|testing|unstable)/(In)?Release'.*,\1,p" |
		awk '!/security/ && !/^cdrom:/ { print; exit }')
	case $uri in
	mirror+file:*) uri=$(awk '!/^[[:space:]]*(#|$)/ { print $1; exit }' "${uri#mirror+file:}") ;;
	esac
	if [ -z "$uri" ]; then
		die "no Debian archive in this machine's apt sources. Name one with: make DEBIAN_MIRROR=<address>"
	fi
	printf '%s\n' "${uri%/}"
}

# apt_sources MIRROR [OPTIONS]: the suites that root and kernel come from, in one-line format.
apt_sources() {
	local suite
	for suite in trixie trixie-updates trixie-backports; do
		printf 'deb %s%s %s main\n' "${2:+[$2] }" "$1" "$suite"
	done
}

# ca_bundle: the machine's certificates, which may contain those of an inspecting proxy. Empty when there are none.
ca_bundle() {
	local file
	for file in "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt \
		/etc/ssl/ca-bundle.pem /etc/ssl/cert.pem; do
		if [ -n "$file" ] && [ -s "$file" ]; then
			readlink -f "$file"
			return
		fi
	done
}

# in_root: a command in the build root; see scripts/in-root.
in_root() { "$scripts/in-root" "$@"; }

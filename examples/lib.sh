# What the checks of the examples share. Sourced, not run.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
root="$(cd "$here/../.." && pwd)"
work="$(mktemp -d)"
pids=()
finish() {
	status=$?
	for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
	wait 2>/dev/null || true
	if [ "$status" != 0 ]; then tail -n 20 "$work"/*.log >&2 || true; fi
	rm -rf "$work"
}
trap finish EXIT

fail() {
	echo "FAILED: $*" >&2
	exit 1
}

# packages NAME…: Debian packages that the app needs.
packages() {
	local need=()
	for name in "$@"; do dpkg -s "$name" >/dev/null 2>&1 || need+=("$name"); done
	if [ ${#need[@]} -gt 0 ]; then
		apt-get update -qq
		apt-get install -y -qq --no-install-recommends "${need[@]}" >/dev/null
	fi
}

# start LOG COMMAND…: runs something until the check ends.
start() {
	local log="$work/$1.log"
	shift
	"$@" >"$log" 2>&1 &
	pids+=($!)
}

# until_answers URL: waits until something listens.
until_answers() {
	for _ in $(seq 1 200); do
		if curl -s -o /dev/null "$1"; then return; fi
		sleep 0.1
	done
	fail "nothing answers at $1"
}

# build: the binary, once.
build() {
	(cd "$root" && go build -tags nobadger,nomysql,nopgx -o "$work/stepgate" ./cmd/stepgate)
}

# gateway: starts the gateway with the Caddyfile of the example.
gateway() {
	export STEPGATE_DATA="$work/data"
	cd "$here"
	start gateway "$work/stepgate" run --config Caddyfile
	until_answers "$site/.stepgate/sign-in"
}

# user EMAIL PASSWORD: makes an account whose address is known to be right.
user() {
	printf '%s\n' "$2" | "$work/stepgate" users create "$1" --verified --password-stdin --address "localhost:$admin" >/dev/null
}

# visit STATUS CURL-ARGUMENTS…: makes a request with the visitor's cookies, demands a status,
# and leaves the body in $work/body.
visit() {
	local want="$1" got
	shift
	got="$(curl -s -b "$work/jar" -c "$work/jar" -o "$work/body" -w '%{http_code}' "$@")"
	[ "$got" = "$want" ] || fail "status $got, expected $want: curl $* : $(cat "$work/body")"
}

# api PATH JSON: calls the gateway's API and demands success.
api() { visit 200 -H 'Content-Type: application/json' -d "$2" "$site/.stepgate/api/v1/$1"; }

# field NAME: a text field of the last JSON answer.
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" "$work/body"; }

# mailed_code: the newest code in the outbox.
mailed_code() {
	for _ in $(seq 1 100); do
		curl -s "$site/.stepgate/outbox.json" >"$work/outbox"
		code="$(sed -n 's/.*"code":"\([0-9]\{6\}\)".*/\1/p' "$work/outbox" | head -n 1)"
		if [ -n "$code" ]; then
			echo "$code"
			return
		fi
		sleep 0.1
	done
	fail "no code was mailed"
}

body_has() { grep -q -- "$1" "$work/body" || fail "the answer lacks $1: $(head -c 600 "$work/body")"; }

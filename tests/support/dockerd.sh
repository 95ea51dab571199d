#!/bin/sh
# A Docker daemon for the tests, apart from any daemon of this machine.
#
#   dockerd.sh serve DIR [DOCKERD-OPTION...]   runs one on DIR/docker.sock until nobody holds a lock on
#                                              DIR/users.lock for a while, or until it is told to stop
#   dockerd.sh image HOST                      gives a daemon the image `tidegate-test:1`
set -eu

# Seconds without a user after which the daemon stops: longer than the gap between two tests.
LINGER=${LINGER:-15}
# Tenths of a second that the daemon may take to start and to stop.
START_TENTHS=600

need() {
    command -v "$1" >/dev/null || { echo "$1 is missing: apt-get install -y $2" >&2; exit 1; }
}

alive() { kill -0 "$1" 2>/dev/null; }

serve() {
    dir=$1
    shift
    need dockerd docker.io
    need flock util-linux
    need ip iproute2
    mkdir -p "$dir"
    rm -rf "$dir/docker.sock" "$dir/dockerd.pid"
    # A bridge of its own: daemons that share docker0 take each other's addresses, and one that runs
    # without a bridge deletes it. No packet filter rules: published ports are on the loopback address.
    number=$(echo "$dir" | cksum | cut -d ' ' -f 1)
    bridge=tg$number
    ip link delete "$bridge" 2>/dev/null || true
    ip link add "$bridge" type bridge
    ip address add "10.$((200 + number % 50)).$((number / 50 % 250)).1/24" dev "$bridge"
    ip link set "$bridge" up
    dockerd --bridge "$bridge" --iptables=false --ip6tables=false \
        --data-root "$dir/data" --exec-root "$dir/exec" --pidfile "$dir/dockerd.pid" \
        --host "unix://$dir/docker.sock" "$@" >"$dir/dockerd.log" 2>&1 &
    pid=$!
    stop() {
        trap - TERM INT
        kill -TERM "$pid" 2>/dev/null || true
        tenths=$START_TENTHS
        while alive "$pid" && [ "$tenths" -gt 0 ]; do sleep 0.1; tenths=$((tenths - 1)); done
        kill -KILL "$pid" 2>/dev/null || true
        ip link delete "$bridge" || true
        # Namespaces of the daemon stay mounted and would keep the folder from being removed.
        cut -d ' ' -f 2 /proc/mounts | grep "^$dir/" | sort -r | xargs -r umount --lazy || true
        exit 0
    }
    trap stop TERM INT
    idle=0
    while [ "$idle" -lt "$LINGER" ]; do
        sleep 1
        alive "$pid" || { tail -n 20 "$dir/dockerd.log" >&2; exit 1; }
        if flock --exclusive --nonblock "$dir/users.lock" true; then idle=$((idle + 1)); else idle=0; fi
    done
    # Whoever comes now waits for the lock, finds no daemon and starts one.
    exec 9>"$dir/users.lock"
    flock --exclusive 9
    stop
}

image() {
    need busybox busybox-static
    need docker docker.io
    root=$(mktemp -d)
    trap 'rm -rf "$root"' EXIT
    mkdir -p "$root/bin" "$root/tmp" "$root/www"
    cp "$(command -v busybox)" "$root/bin/busybox"
    for word in sh httpd nc sleep cat env echo true false tail touch rm kill date; do
        ln -s busybox "$root/bin/$word"
    done
    echo well >"$root/www/healthz"
    tar -c -C "$root" . | docker --host "$1" import - tidegate-test:1 >/dev/null
}

word=$1
shift
"$word" "$@"

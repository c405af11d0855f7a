#!/bin/bash
# second-machine.sh BASE CHECKOUT STATE CACHE COMMAND...
#
# Runs COMMAND on a machine of its own: namespaces of network, mounts, processes and cgroups, with this machine's system,
# checkout and network, and everything that is changed kept below BASE. A set-up may be ended and dpkg broken in it, while
# the sandbox of the machine itself goes on. STATE and CACHE have the same names as here and contents of their own.
# BASE must not lie below /usr, /etc, /var, /opt or the checkout. What it is on this machine goes when COMMAND ends.
set -euo pipefail
[ $# -ge 5 ] || { echo "usage: $0 BASE CHECKOUT STATE CACHE COMMAND..." >&2; exit 2; }
export BASE=$1 CHECKOUT=$2 STATE=$3 CACHE=$4; shift 4
NAME=slipway-second HOST=10.98.0.1 GUEST=10.98.0.2 NET=10.98.0.0/30

if [ "${SECOND_MACHINE:-}" != inside ]; then
  mkdir -p "$BASE"; exec 9>"$BASE/.lock"; flock -n 9 || { echo "another command has a second machine in $BASE" >&2; exit 3; }
  out=$(ip -4 route show default | sed -n 's/.* dev \([^ ]*\).*/\1/p' | head -1)
  rules() { # rules -A|-D
    local insert=-I; [ "$1" = -A ] || insert=-D
    iptables -w -t nat "$1" POSTROUTING -s $NET -o "$out" -j MASQUERADE
    iptables -w $insert FORWARD -i $NAME -j ACCEPT; iptables -w $insert FORWARD -o $NAME -j ACCEPT
  }
  forward=$(cat /proc/sys/net/ipv4/ip_forward)
  machine=
  away() {
    [ -z "$machine" ] || kill -KILL "$machine" 2>/dev/null || true      # and with it, everything in it
    rules -D 2>/dev/null || true
    ip link del $NAME 2>/dev/null || true; ip netns del $NAME 2>/dev/null || true
    [ "$forward" = 1 ] || [ -e /run/slipway/sandbox.json ] || echo "$forward" >/proc/sys/net/ipv4/ip_forward
    # its processes end a moment after it, and until then the kernel keeps their cgroups
    local c n
    for n in $(seq 50); do
      for c in /sys/fs/cgroup/*/$NAME /sys/fs/cgroup/$NAME; do
        [ ! -d "$c" ] || find "$c" -depth -type d -exec rmdir {} + 2>/dev/null || true
      done
      [ -n "$(ls -d /sys/fs/cgroup/*/$NAME /sys/fs/cgroup/$NAME 2>/dev/null)" ] || break
      sleep 0.1
    done
  }
  trap away EXIT; trap 'exit 143' TERM INT HUP
  rules -D 2>/dev/null || true; ip link del $NAME 2>/dev/null || true; ip netns del $NAME 2>/dev/null || true
  ip netns add $NAME
  ip link add $NAME type veth peer name eth0 netns $NAME
  ip addr add $HOST/30 dev $NAME; ip link set $NAME up
  ip -n $NAME addr add $GUEST/30 dev eth0; ip -n $NAME link set eth0 up; ip -n $NAME link set lo up
  ip -n $NAME route add default via $HOST
  echo 1 >/proc/sys/net/ipv4/ip_forward; rules -A
  # in cgroups of its own first: these are the roots that it will see
  (
    for h in /sys/fs/cgroup /sys/fs/cgroup/*/; do
      h=${h%/}; [ -e "$h/cgroup.procs" ] || continue
      [ "$h" = /sys/fs/cgroup ] || [ "$(stat -f -c %T "$h")" != "$(stat -f -c %T /sys/fs/cgroup)" ] || continue
      mkdir -p "$h/$NAME"
      [ ! -e "$h/cpuset.cpus" ] || { cat "$h/cpuset.cpus" >"$h/$NAME/cpuset.cpus"; cat "$h/cpuset.mems" >"$h/$NAME/cpuset.mems"; }
      echo $BASHPID >"$h/$NAME/cgroup.procs"
    done
    export SECOND_MACHINE=inside
    exec nsenter --net=/run/netns/$NAME unshare --mount --pid --cgroup --uts --ipc --fork --kill-child --mount-proc \
      bash "$0" "$BASE" "$CHECKOUT" "$STATE" "$CACHE" "$@" 9>&-
  ) &
  machine=$!; wait $machine && exit 0 || exit $?
fi

mount --make-rprivate /
for h in /sys/fs/cgroup/*/; do
  h=${h%/}; [ "$(stat -f -c %T "$h")" != sysfs ] || continue
  type=$(awk -v p="$h" '$5 == p {sub(/.* - /, ""); print $1}' /proc/self/mountinfo | tail -1)
  case $type in
    cgroup) options=${h##*/}; [ "$options" != systemd ] || options=none,name=systemd; umount -l "$h"; mount -t cgroup -o "$options" none "$h" ;;
    cgroup2) umount -l "$h"; mount -t cgroup2 none "$h" ;;
  esac
done
[ "$(stat -f -c %T /sys/fs/cgroup)" != cgroup2fs ] || { umount -l /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; }
# what the machine's own sandbox has mounted is not there
awk '{print $5}' /proc/self/mountinfo | grep -E "^($STATE|$CACHE)/" | sort -r | xargs -rn1 umount -l || true
for d in /usr /etc /var /opt "$CHECKOUT"; do
  mkdir -p "$BASE/upper$d" "$BASE/work$d"
  mount -t overlay overlay -o "lowerdir=$d,upperdir=$BASE/upper$d,workdir=$BASE/work$d" "$d"
done
mount -t tmpfs tmpfs /run; mkdir -p /run/lock
mkdir -p "$BASE/state" "$BASE/cache" "$STATE" "$CACHE"
mount --bind "$BASE/state" "$STATE"; mount --bind "$BASE/cache" "$CACHE"
cd "$CHECKOUT"
"$@"

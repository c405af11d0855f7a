#!/bin/bash
# network.sh up|down|sweep STATE_DIR
#
# up     gives the machine what the cluster of STATE_DIR needs of it: a bridge (K8S_NODE_IF) with the node's address, routes,
#        sysctls, and a chain that keeps pods on this machine. Servers that pods shall reach can listen on the bridge then.
#        First it removes what a dead cluster left, this one's or another's, whose STATE_DIR may be gone. Exit 3, nothing
#        changed: another sandbox is alive here, or a kubelet that is not ours.
# down   takes all of that away again, and whatever else is left of the cluster (down.sh first, if it runs).
# sweep  takes away what a cluster leaves that was killed (processes, mounts, links, rules, cgroups), but not what `up` made.
# Each can be repeated at any time.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd); . "$HERE/env.sh"
[ $# = 2 ] || die "usage: $0 up|down|sweep STATE_DIR"
settle "$2"; rc=0; complain() { log "LEFT BEHIND: $*"; rc=1; }
exec 8</run; flock -w 60 8 || die "another network.sh has been at work for a minute"   # on /run itself: no lock file stays

# --- who is there -------------------------------------------------------------------------------------------------------
# with_exe REGEX: "PID EXE" of the processes whose executable's name matches
with_exe() { { ls -l /proc/[0-9]*/exe 2>/dev/null || true; } | sed -nE "s#.* /proc/([0-9]+)/exe -> (.*/)?($1)( \(deleted\))?\$#\1 \2\3#p"; }
PARTS='k8s-node|containerd|containerd-shim-runc-v2|coredns'
quoted() { sed 's/[][\.*^$+?(){}|]/\\&/g' <<<"$1"; }
# pids_of STATE_DIR: its servers and shims, which name files below it, and the processes in its containers, with whatever
# parent, whose root is an overlay below it. That works when STATE_DIR is gone, too.
pids_of() {
  local pid q; q=$(quoted "$1")
  with_exe "$PARTS" | while read -r pid _; do ! grep -qszE "^$q/" "/proc/$pid/cmdline" || echo "$pid"; done
  { grep -lsE "^[^ ]+ [^ ]+ [^ ]+ [^ ]+ / .*[ ,]upperdir=$q/" /proc/[0-9]*/mountinfo || true; } | cut -d/ -f3
}
mounts_of() { awk -v s="$1/" 'index($5, s) == 1 {print $5}' /proc/self/mountinfo | sort -r; }
# clusters: the STATE_DIR of every cluster of these scripts that has processes or mounts on this machine
clusters() {
  local pid
  { with_exe "$PARTS" | while read -r pid _; do
      tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | sed -nE 's#^(/.+)/(containerd/c\.sock|conf/containerd\.toml|pki/[a-z-]+\.crt|conf/[a-z-]+\.yaml|dns/Corefile)$#\1#p' || true
    done
    awk '{print $5}' /proc/self/mountinfo | sed -nE 's#/containerd/state/.*##p'; } | sort -u
}
# sandbox_of STATE_DIR: the pid of a living supervisord that keeps a part of it running. A cluster whose supervisord was
# killed is a leftover, though some of its processes may still run.
sandbox_of() {
  local pid parent
  for pid in $(pids_of "$1"); do
    parent=$(stat_of "$pid") && parent=${parent#* } || continue
    ! grep -qsz supervisord "/proc/$parent/cmdline" || { echo "$parent"; return; }
  done
}
# recorded NAME: a value of the record
recorded() { (. "$RECORD"; eval "echo \"\$$1\"") }
recorded_sandbox() {
  local conf pid; conf=$(recorded OWNER_SUPERVISOR)
  for pid in $({ grep -lszF -- "$conf" /proc/[0-9]*/cmdline || true; } | cut -d/ -f3); do
    ! grep -qsz supervisord "/proc/$pid/cmdline" || { echo "$pid"; return; }
  done
}

# --- taking away ----------------------------------------------------------------------------------------------------------
# sweep STATE_DIR [machine]: its processes and mounts; with `machine` also what there is once per machine
sweep() {
  local pids m i c cmd t d chains
  for i in 1 2 3 4 5; do
    pids=$(pids_of "$1"); [ -n "$pids" ] || break
    log "ending what is left of the cluster in $1:" $pids
    kill -KILL $pids 2>/dev/null || true; sleep 0.3
  done
  [ -z "$(pids_of "$1")" ] || complain "processes:" $(pids_of "$1")
  for m in $(mounts_of "$1"); do umount "$m" 2>/dev/null || umount -l "$m" || true; done       # deepest first
  [ -z "$(mounts_of "$1")" ] || complain "mounts:" $(mounts_of "$1")
  # sockets of ended shims; those of another engine's live ones stay
  for m in /run/containerd/s/*; do
    [ ! -S "$m" ] || grep -qF " $m" /proc/net/unix || rm -f "$m"
  done
  [ "${2:-}" = machine ] || return 0

  # unmounting a network namespace took its veths with it, a little later; what still routes a pod address goes now
  sleep 0.3
  for i in $(ip -4 route show root "$K8S_POD_CIDR" | sed -n 's/.* dev \(veth[^ ]*\).*/\1/p'); do ip link del "$i" || true; done
  chains 'KUBE-|CNI-'
  conntrack -D -s "$K8S_POD_CIDR" >/dev/null 2>&1 || true; conntrack -D -d "$K8S_SVC_CIDR" >/dev/null 2>&1 || true
  if [ -n "${MADE_CGROUP:-}" ]; then
    for c in /sys/fs/cgroup/*/kubepods /sys/fs/cgroup/kubepods; do
      for i in 1 2 3 4 5 6 7 8 9 10; do          # a process that was just killed may still be in it
        [ -d "$c" ] || break
        find "$c" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.1
      done
      [ ! -d "$c" ] || complain "cgroup $c"
    done
  fi
  for d in ${MADE_DIRS:-}; do
    # /run/containerd may have become another engine's since: there only what is empty goes
    if [ "$d" = /run/containerd ]; then rmdir "$d/s" "$d" 2>/dev/null || true; else rm -rf --one-file-system "$d"; fi
  done
}
# chains REGEX: removes the chains whose names begin like that, and the rules of the built-in chains that lead to them
chains() {
  local cmd t r c names
  for cmd in iptables ip6tables; do for t in nat filter mangle; do
    saved() { { $cmd-save -t $t 2>/dev/null || true; } | grep -E "$1" || true; }
    saved "^-A (PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING) .*-j ($1)" | sed 's/^-A/-D/' \
      | while read -r r; do eval "$cmd -w -t $t $r"; done
    names=$(saved "^:($1)" | sed 's/^:\([^ ]*\).*/\1/')
    for c in $names; do $cmd -w -t $t -F "$c"; done
    for c in $names; do $cmd -w -t $t -X "$c" || true; done
    [ -z "$(saved "[ :]($1)")" ] || complain "$cmd rules in $t: $(saved "[ :]($1)" | head -3)"
  done; done
}
# undo STATE_DIR: everything, `up`'s part too. What was changed comes from the record; without one, from the settings.
undo() {
  local k v
  [ ! -e "$RECORD" ] || . "$RECORD"
  sweep "$1" machine
  ip route del unreachable "$K8S_POD_CIDR" metric 4096 2>/dev/null || true
  ip link del "$K8S_NODE_IF" 2>/dev/null || true
  chains "$K8S_CHAIN"
  while IFS='= ' read -r k v; do
    # another engine on this machine may need it by now: then it stays on
    if [ "$k" = net.ipv4.ip_forward ] && [ -n "$(ip -o -4 addr show | awk '$2 ~ /^(docker|br-|cni|virbr|podman)/')" ]; then continue; fi
    [ -z "$k" ] || echo "$v" >"/proc/sys/${k//.//}" || complain "sysctl $k"
  done <<<"${SYSCTLS:-}"
  rm -f "$RECORD" "$1/machine"; rmdir "${RECORD%/*}" 2>/dev/null || true
}

down() {
  local pid
  pid=$(sandbox_of "$STATE"); [ -z "$pid" ] || die "the cluster in $STATE runs under supervisord $pid: run down.sh first"
  if [ -e "$RECORD" ] && [ "$(recorded OWNER)" != "$STATE" ]; then sweep "$STATE"; return; fi
  [ -e "$RECORD" ] || ! same_boot "$STATE/machine" || install -D -m600 "$STATE/machine" "$RECORD"
  if [ -e "$RECORD" ]; then undo "$STATE"; else sweep "$STATE"; fi
}
BOOT=$(cat /proc/sys/kernel/random/boot_id)
same_boot() { [ -e "$1" ] && grep -qsF "$BOOT" "$1"; }

# --- up -------------------------------------------------------------------------------------------------------------------
clear_others() {
  local s pid exe
  with_exe 'kubelet|kube-proxy|kubelite|k3s|k0s' | while read -r pid exe; do
    # one in another network namespace (a cluster inside a container) is in nobody's way
    [ "$(readlink "/proc/$pid/ns/net")" != "$(readlink /proc/self/ns/net)" ] \
      || refuse "another Kubernetes runs on this machine: $exe, process $pid. Stop it, or use it: set KUBECONFIG"
  done
  for s in $({ clusters; [ ! -e "$RECORD" ] || recorded OWNER; } | sort -u); do
    pid=$(sandbox_of "$s")
    [ -n "$pid" ] || [ ! -e "$RECORD" ] || [ "$(recorded OWNER)" != "$s" ] || pid=$(recorded_sandbox)
    if [ -n "$pid" ] && { [ "$s" != "$STATE" ] || [ "$(tr '\0' ' ' <"/proc/$pid/cmdline" | grep -cF "$SLIPWAY_SUPERVISOR_CONF")" = 0 ]; }; then
      refuse "a sandbox is alive on this machine: state $s, supervisord $pid ($(tr '\0' ' ' <"/proc/$pid/cmdline")). There can be one: take it down first"
    fi
  done
  for s in $(clusters); do [ "$s" = "$STATE" ] || sweep "$s"; done
  if [ -e "$RECORD" ] && [ "$(recorded OWNER)" != "$STATE" ]; then
    log "clearing what the dead sandbox of $(recorded OWNER) left"; (undo "$(recorded OWNER)"; exit $rc)
  fi
  [ -e "$RECORD" ] || ! same_boot "$STATE/machine" || install -D -m600 "$STATE/machine" "$RECORD"
  if [ ! -e "$RECORD" ] && [ -z "$(pids_of "$STATE")" ] \
    && { ip link show "$K8S_NODE_IF" >/dev/null 2>&1 || [ -n "$(iptables-save 2>/dev/null | grep -m1 '^:K\(UBE\|8SN\)-')" ]; }; then
    log "clearing a bridge $K8S_NODE_IF or iptables chains of a cluster that nobody remembers"; MADE_CGROUP=yes undo "$STATE"
  fi
}
record() {
  local k d OWNER=$STATE OWNER_SUPERVISOR=$SLIPWAY_SUPERVISOR_CONF SYSCTLS MADE_DIRS= MADE_CGROUP=yes
  # ip_forward: wanted here; the next three: the kubelet sets them; the last: kube-proxy sets it
  SYSCTLS=$(for k in net.ipv4.ip_forward vm.overcommit_memory kernel.panic kernel.panic_on_oops net.ipv4.conf.all.route_localnet; do
    echo "$k = $(cat "/proc/sys/${k//.//}")"; done)
  # folders with fixed names that were not there before go again. After a restart of the machine they still are ours.
  for d in /var/log/containers /var/lib/cni /var/lib/kubelet /run/containerd; do
    [ -e "$d" ] && ! grep -qs "^MADE_DIRS=.*$d" "$STATE/machine" || MADE_DIRS="$MADE_DIRS $d"
  done
  [ -z "$(find /sys/fs/cgroup -maxdepth 2 -type d -name kubepods -print -quit)" ] || MADE_CGROUP=
  mkdir -p "${RECORD%/*}"; (umask 077
  declare -p BOOT OWNER OWNER_SUPERVISOR SYSCTLS MADE_DIRS MADE_CGROUP K8S_NODE_IF K8S_NODE_IP K8S_POD_CIDR K8S_SVC_CIDR \
    | sed 's/^declare -[^ ]* //' >"$RECORD.new"); mv "$RECORD.new" "$RECORD"
}
up() {
  mkdir -p -m 0700 "$STATE"
  clear_others
  [ -e "$RECORD" ] || record
  [ "$SLIPWAY_SUPERVISOR_CONF" = "$(recorded OWNER_SUPERVISOR)" ] || sed -i "s#^OWNER_SUPERVISOR=.*#OWNER_SUPERVISOR=\"$SLIPWAY_SUPERVISOR_CONF\"#" "$RECORD"
  cmp -s "$RECORD" "$STATE/machine" || cp -p "$RECORD" "$STATE/machine"
  echo 1 >/proc/sys/net/ipv4/ip_forward
  ip link show "$K8S_NODE_IF" >/dev/null 2>&1 || ip link add "$K8S_NODE_IF" type bridge
  ip addr replace "$K8S_NODE_IP/32" dev "$K8S_NODE_IF"
  ip link set "$K8S_NODE_IF" up
  # Service addresses: a route of their own, so that packets to a service that has no rule (yet) die on the port-less
  # bridge and never leave by the default route. Pod addresses: each live pod has a /32 route, all others are unreachable.
  ip route replace "$K8S_SVC_CIDR" dev "$K8S_NODE_IF" src "$K8S_NODE_IP"
  ip route replace unreachable "$K8S_POD_CIDR" metric 4096
  # Pods stay on this machine. (Service addresses are translated before FORWARD sees them.) Answers pass, so that containers
  # of another engine on this machine may call pods; pod to pod is accepted here, because such an engine may have set the
  # chain's policy to DROP. iptables-restore, because it makes the chain with all its rules or not at all.
  iptables -w -nL "$K8S_CHAIN" >/dev/null 2>&1 || iptables-restore -w --noflush <<Y
*filter
:$K8S_CHAIN - [0:0]
-A $K8S_CHAIN -s $K8S_POD_CIDR -d $K8S_POD_CIDR -j ACCEPT
-A $K8S_CHAIN -s $K8S_POD_CIDR -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
-A $K8S_CHAIN -s $K8S_POD_CIDR -j REJECT --reject-with icmp-net-prohibited
COMMIT
Y
  # first in FORWARD, again if another party has put its own before it since
  local jump=(FORWARD -m comment --comment "pods stay on this machine" -j "$K8S_CHAIN")
  case $(iptables -w -S FORWARD | sed -n 2p) in
    *"-j $K8S_CHAIN") ;;
    *) iptables -w -D "${jump[@]}" 2>/dev/null || true; iptables -w -I FORWARD 1 "${jump[@]:1}" ;;
  esac
}

case $1 in
  up) up ;;
  down) down ;;
  sweep) [ ! -e "$RECORD" ] || [ "$(recorded OWNER)" != "$STATE" ] || { . "$RECORD"; sweep "$STATE" machine; exit $rc; }; sweep "$STATE" ;;
  *) die "usage: $0 up|down|sweep STATE_DIR" ;;
esac
exit $rc

#!/bin/sh
# apt.sh heal | install PACKAGE...
#
# heal     brings to its end what an installation left that was ended in the middle: half-configured packages, dpkg's own
#          journal, apt's unmet dependencies. dpkg's locks go with their process; a process that lives on is waited for,
#          and one that is the rest of an ended set-up of ours is ended if it does not end by itself.
# install  the packages of those named that are missing, after healing; the lists are refreshed where they lack one.
# Exit 3: it cannot be; says which package or process, why, and what to do.
set -eu
PATH=$PATH:/usr/sbin:/sbin
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
: "${SLIPWAY_SETUP:=apt}"; export SLIPWAY_SETUP # so that the next one knows what is left of this one
ADMIN=${DPKG_ADMINDIR:-${DPKG_ROOT:-}/var/lib/dpkg}
WAIT_S=${SLIPWAY_APT_WAIT_S:-300} # for somebody else's apt
PATIENCE_S=${SLIPWAY_APT_PATIENCE_S:-60} # for the rest of our own
log() { echo "apt: $*" >&2; }

# holder: the process that holds one of dpkg's locks (fcntl, found by the lock file's inode), if any
holder() {
  for lock in "$ADMIN/lock-frontend" "$ADMIN/lock"; do
    [ -e "$lock" ] || continue
    inode=$(stat -c %i "$lock")
    awk -v i=":$inode" '$2 == "POSIX" && $6 ~ i "$" {print $5; exit}' /proc/locks
  done | head -1
}
named() { tr '\0' ' ' <"/proc/$1/cmdline" 2>/dev/null | cut -c1-120; }
is_ours() { tr '\0' '\n' <"/proc/$1/environ" 2>/dev/null | grep -q '^SLIPWAY_SETUP='; }

# await: until nobody holds the locks
await() {
  began=$(date +%s) told=
  while pid=$(holder) && [ -n "$pid" ]; do
    now=$(($(date +%s) - began))
    [ -n "$told" ] || log "waiting for process $pid: $(named "$pid")"
    told=yes
    if [ "$now" -ge "$PATIENCE_S" ] && is_ours "$pid"; then
      log "ending process $pid, left by a set-up that was ended: it has not ended for $now s"
      end "$pid"
      continue
    fi
    if [ "$now" -ge "$WAIT_S" ]; then
      log "process $pid ($(named "$pid")) has held dpkg's lock for $now s: end it, or wait for it, and try again"
      exit 3
    fi
    sleep 0.5
  done
}
# end PID: it and what it started, its children first; ours only
end() {
  for child in $(cat "/proc/$1/task/$1/children" 2>/dev/null); do end "$child"; done
  kill -TERM "$1" 2>/dev/null || true
  tries=0
  while [ -d "/proc/$1" ] && ! grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null && [ $tries -lt 30 ]; do sleep 0.1; tries=$((tries + 1)); done
  kill -KILL "$1" 2>/dev/null || true
}
# is_whole: dpkg has neither a package in the middle nor a journal of one
is_whole() {
  [ -z "$(find "$ADMIN/updates" -type f 2>/dev/null)" ] && [ -z "$(dpkg --audit 2>/dev/null)" ]
}

heal() {
  await
  ! is_whole || return 0
  log "an installation was ended before its time: bringing it to its end"
  said=$(mktemp)
  # what dpkg cannot configure for want of another package is apt's to mend; a package that fails is tried twice
  for try in 1 2; do
    timeout -k 10 300 dpkg --configure -a --force-confdef --force-confold >"$said" 2>&1 </dev/null || true
    await
    timeout -k 10 600 apt-get -y -qq -o DPkg::Lock::Timeout="$WAIT_S" -f install >>"$said" 2>&1 </dev/null || true
    await
    if is_whole; then rm -f "$said"; log "healed"; return 0; fi
  done
  log "dpkg does not get to its end. It says:"
  tail -n 15 "$said" >&2; rm -f "$said"
  dpkg --audit >&2 || true
  log "mend or remove the package that is named (dpkg --remove --force-remove-reinstreq PACKAGE), and try again"
  exit 3
}

install() {
  missing=
  for package; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
  done
  [ -n "$missing" ] || return 0
  heal
  # shellcheck disable=SC2086
  set -- -y -qq -o DPkg::Lock::Timeout="$WAIT_S" --no-install-recommends install $missing
  apt-get "$@" >/dev/null 2>&1 </dev/null || {
    await
    apt-get -qq update || log "apt-get update reported errors; going on: other sources may be fine"
    apt-get "$@" >/dev/null </dev/null || { log "cannot install$missing: see what apt says above"; exit 3; }
  }
}

case ${1:-} in
  heal) heal ;;
  install) shift; install "$@" ;;
  *) log "usage: $0 heal | install PACKAGE..."; exit 2 ;;
esac

# env.sh - settings and process bookkeeping shared by build.sh, network.sh, up.sh and down.sh. Sourced, never run.

K8S_NODE_NAME="${K8S_NODE_NAME:-k8s-node}"
# A bridge without ports that network.sh creates. It carries the node's address, so the API server, the kubelet and DNS listen
# on an interface that exists only for this cluster. Servers of the host that pods shall reach bind to K8S_NODE_IP too.
# (A dummy interface would be more usual; not every kernel has CONFIG_DUMMY.)
K8S_NODE_IF="${K8S_NODE_IF:-k8s0}"
K8S_NODE_IP="${K8S_NODE_IP:-10.200.0.1}"
K8S_POD_CIDR="${K8S_POD_CIDR:-10.244.0.0/24}"
K8S_SVC_CIDR="${K8S_SVC_CIDR:-10.96.0.0/16}"
K8S_API_SVC_IP="${K8S_API_SVC_IP:-10.96.0.1}"      # first address of K8S_SVC_CIDR
K8S_DNS_SVC_IP="${K8S_DNS_SVC_IP:-10.96.0.10}"
K8S_DOMAIN="${K8S_DOMAIN:-cluster.local}"
K8S_API_PORT="${K8S_API_PORT:-6443}"               # on K8S_NODE_IP
K8S_KUBELET_PORT="${K8S_KUBELET_PORT:-10250}"      # on K8S_NODE_IP
K8S_ETCD_PORT="${K8S_ETCD_PORT:-12379}"            # on 127.0.0.1; not 2379: leaves another etcd alone
K8S_ETCD_PEER_PORT="${K8S_ETCD_PEER_PORT:-12380}"  # on 127.0.0.1
K8S_DNS_READY_PORT="${K8S_DNS_READY_PORT:-18181}"  # on 127.0.0.1

K8S_PAUSE_IMAGE="singlenode.local/pause:1"

# IP tables chains, names and comments of this cluster all carry this word.
K8S_CHAIN=K8SN-EGRESS
# What network.sh did to the machine and for whom. Not below STATE_DIR, which may be gone when somebody has to undo it;
# in /run, because none of it outlives the machine's start either.
RECORD=/run/slipway/kubernetes.record

log()  { printf '%s [%s] %s\n' "$(date +%H:%M:%S)" "${0##*/}" "$*" >&2; }
die()  { log "ERROR: $*"; exit 1; }
refuse() { log "REFUSED: $*"; exit 3; }             # the machine is taken; nothing was changed

# settle PATH: sets STATE to the path as the kernel writes it in its lists of mounts and processes (it need not exist), and
# finds the supervisord of the sandbox whose state folder holds it, if the caller named none.
settle() {
  STATE=$(realpath -m -- "$1")
  (( ${#STATE} <= 80 )) || die "$STATE is too long a path: sockets below it are limited to 107 characters; 80 at most"
  [[ $STATE =~ ^/[A-Za-z0-9._/@+-]+$ ]] || die "$STATE: only letters, digits and ._/@+- may be in it"
  SLIPWAY_SUPERVISOR_CONF=${SLIPWAY_SUPERVISOR_CONF:-${STATE%/*}/supervisor/supervisord.conf}
}

# wait_for SECONDS WHAT COMMAND...: polls until COMMAND succeeds.
wait_for() {
  local limit=$1 what=$2 start=$SECONDS; shift 2
  until "$@" >/dev/null 2>&1; do
    if (( SECONDS - start >= limit )); then
      log "timed out after ${limit}s waiting for $what; last try said:"; "$@" >&2 || true
      return 1
    fi
    sleep 0.1
  done
}

# --- the parts run under the sandbox's supervisord ---------------------------------------------------------------------
ctl() { "${SLIPWAY_PYTHON:+${SLIPWAY_PYTHON%/*}/}supervisorctl" -c "$SLIPWAY_SUPERVISOR_CONF" "$@"; }

# A pid file holds "PID STARTTIME PARENT" (fields 1, 22 and 4 of /proc/PID/stat), so that a pid which the kernel has since
# given to another process is never signalled, and a part whose supervisor was killed is told from one that is looked after.
stat_of() { local s; s=$(cat "/proc/$1/stat" 2>/dev/null) || return 1; s=${s##*) }; set -- $s; [ "$1" != Z ] && echo "${20} $2"; }
alive() { # alive NAME: in any case costs two forks and no Python
  local pid st now; [ -s "$STATE/run/$1.pid" ] || return 1
  read -r pid st _ <"$STATE/run/$1.pid"; now=$(stat_of "$pid") && [ "${now% *}" = "$st" ]
}
supervised() { local pid rest; alive "$1" && read -r pid rest <"$STATE/run/$1.pid" && [ "$(stat_of "$pid")" = "$rest" ]; }

# part NAME COMMAND...: declares a part. It is left alone if it runs like this already; else start_parts (re)starts it.
TO_START=()
part() {
  local name=$1 f=$STATE/run/$1 conf=${SLIPWAY_SUPERVISOR_CONF%/*}/conf.d/k8s-$1.conf; shift
  # umask 022: containerd and the kubelet make folders and files (/, /etc/resolv.conf) that non-root containers must read.
  # env -i: proxies, certificates and what else the caller's shell holds are none of the cluster's business; only the mark
  # that the sandbox gives all its processes is.
  cat >"$f.new" <<Y
umask 022
# one that ends at once, again and again, is started once a second
[ -z "\$(find $f.pid -newermt '-1 second' 2>/dev/null)" ] || sleep 1
read -r s </proc/\$\$/stat; s=\${s##*) }; set -- \$s
echo "\$\$ \${20} \$2" >$f.pid
exec env -i SLIPWAY_SANDBOX_STATE="\$SLIPWAY_SANDBOX_STATE" HOME=/root LC_ALL=C.UTF-8 PATH=$BIN:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin $(printf '%q ' "$@")
Y
  # autostart=false: a supervisord that starts on the remains of a killed sandbox waits until up.sh has cleared them.
  # Only the part itself is stopped, never its group: containerd's shims keep the pods running while it restarts.
  cat >"$conf.new" <<Y
[program:k8s-$name]
command=/bin/sh $f
autostart=false
autorestart=true
startsecs=0
redirect_stderr=true
stdout_logfile=$STATE/logs/$name.log
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=1
Y
  if cmp -s "$f.new" "$f" && cmp -s "$conf.new" "$conf"; then
    rm "$f.new" "$conf.new"
    ! supervised "$name" || return 0
    ! alive "$name" || stop "$name"                 # its supervisord was killed: take it over
  else
    stop "$name"; mv "$f.new" "$f"; mv "$conf.new" "$conf"
  fi
  TO_START+=("k8s-$name")
}
start_parts() {
  local out; [ ${#TO_START[@]} != 0 ] || return 0
  # the second try: another part of the sandbox may have made supervisord read its files at the same moment
  out=$(ctl update "${TO_START[@]}" 2>&1 && ctl start "${TO_START[@]}" 2>&1) \
    || out=$(ctl update "${TO_START[@]}" 2>&1 && ctl start "${TO_START[@]}" 2>&1) \
    || die "supervisord of $SLIPWAY_SUPERVISOR_CONF does not start ${TO_START[*]}; is it running? It says: $out"
  TO_START=()
}
# stop NAME...: through supervisord; without one, or if it knows nothing of it: TERM, after 10 seconds KILL. Only ever the
# process recorded in the pid file.
stop() {
  local name pid t0=$SECONDS known=()
  for name; do [ ! -e "${SLIPWAY_SUPERVISOR_CONF%/*}/conf.d/k8s-$name.conf" ] || known+=("k8s-$name"); done
  [ ${#known[@]} = 0 ] || ctl stop "${known[@]}" >/dev/null 2>&1 || true
  for name; do ! alive "$name" || { read -r pid _ <"$STATE/run/$name.pid"; kill -TERM "$pid" 2>/dev/null || true; }; done
  for name; do
    while alive "$name" && (( SECONDS - t0 < 10 )); do sleep 0.1; done
    ! alive "$name" || { read -r pid _ <"$STATE/run/$name.pid"; log "$name ($pid) ignored TERM, KILL"; kill -KILL "$pid" || true; sleep 0.3; }
    rm -f "$STATE/run/$name.pid"
  done
}
# forget: after the last stop: supervisord no longer knows of any part
forget() {
  local conf known=()
  for conf in "${SLIPWAY_SUPERVISOR_CONF%/*}"/conf.d/k8s-*.conf; do
    [ ! -e "$conf" ] || { known+=("$(basename "$conf" .conf)"); rm "$conf"; }
  done
  [ ${#known[@]} = 0 ] || ctl update "${known[@]}" >/dev/null 2>&1 || true      # no supervisord: nothing to forget
  rm -rf "$STATE"/run/*
}

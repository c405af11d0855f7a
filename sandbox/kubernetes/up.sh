#!/bin/bash
# up.sh STATE_DIR CACHE_DIR
#
# Brings up one real single-node Kubernetes as native processes, from what build.sh put into CACHE_DIR.
# All of its state, keys, logs and pid files lie under STATE_DIR (mode 0700); STATE_DIR/kubeconfig is the admin's.
# TLS everywhere, RBAC + Node authorization, NodeRestriction and the default admission plugins.
# Listens only on 127.0.0.1 and on K8S_NODE_IP, the address of the bridge that network.sh makes.
# Pods reach the services, each other and K8S_NODE_IP; anything they send further is rejected.
# Yours to fill: STATE_DIR/dns/hosts (names for pods, lines as in /etc/hosts, read anew within a second) and
# STATE_DIR/certs.d/HOST/hosts.toml (registries for containerd, read anew on each pull).
# The processes run under the supervisord of SLIPWAY_SUPERVISOR_CONF, which starts again what dies. Run this again after
# that supervisord or the whole sandbox was killed: it takes over, or starts, what is there. down.sh takes everything away.
# Exit 3: the machine is taken (another sandbox or cluster, or one of the ports).
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd); . "$HERE/env.sh"
[ $# = 2 ] || die "usage: $0 STATE_DIR CACHE_DIR"
settle "$1"; CACHE=$(cd "$2" && pwd); BIN=$CACHE/bin
[ -e "$CACHE/.complete" ] || die "$CACHE is not built: run build.sh first"
[ -d "${SLIPWAY_SUPERVISOR_CONF%/*}/conf.d" ] || die "no folder conf.d beside $SLIPWAY_SUPERVISOR_CONF: start the sandbox's supervisord first"
mkdir -p -m 0700 "$STATE"; chmod 0700 "$STATE"; umask 077
exec 9>"$STATE/.lock"; flock -w 60 9 || die "another up.sh or down.sh works on $STATE"   # one that was ended may have left a child
mkdir -p "$STATE"/{pki,conf,run,logs,etcd,containerd,kubelet,certs.d,cni/net.d,dns}
ln -sfn "$BIN" "$STATE/bin"                # for down.sh, and for whoever wants a kubectl that fits
t0=$SECONDS
step() { log "$((SECONDS - t0))s: $*"; }
# conf FILE NAME: writes stdin to FILE. If that changes it, process NAME is stopped first, so that it starts with the new one.
# (An unchanged file stays untouched: kube-proxy ends itself as soon as its file is written.)
conf() {
  cat >"$1.new"
  if cmp -s "$1.new" "$1"; then rm "$1.new"; return 0; fi
  stop "$2"; mv "$1.new" "$1"
}

"$HERE/network.sh" up "$STATE" || exit $?
PARTS=(etcd kube-apiserver containerd kubelet kube-controller-manager kube-scheduler kube-proxy coredns)
running=; for p in "${PARTS[@]}"; do ! alive $p || running=yes; done
for p in $K8S_ETCD_PORT $K8S_ETCD_PEER_PORT $K8S_DNS_READY_PORT 10248 10249 10256 10257 10259 $K8S_API_PORT $K8S_KUBELET_PORT 53; do
  [ -z "$running" ] || break
  taken=$(ss -Hlntp "sport = :$p" | awk -v ip="$K8S_NODE_IP" '{sub(/:[0-9]+$/, "", $4)} $4 ~ "^(127.0.0.1|0.0.0.0|[*]|\\[::\\]|" ip ")$"')
  [ -z "$taken" ] || refuse "port $p is taken by ${taken##* }: end that, the cluster needs it"
done

# --- keys and certificates ---------------------------------------------------------------------------------------------
P=$STATE/pki
mkca() { # mkca NAME CN
  [ ! -e "$P/$1.crt" ] || return 0
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
    -keyout "$P/$1.key" -out "$P/$1.crt.tmp" -subj "/CN=$2" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null
  mv "$P/$1.crt.tmp" "$P/$1.crt"
}
mkcert() { # mkcert CA NAME SUBJECT EKU [SAN]
  [ ! -e "$P/$2.crt" ] || return 0
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$P/$2.key" -out "$P/$2.csr" -subj "$3" 2>/dev/null
  openssl x509 -req -in "$P/$2.csr" -CA "$P/$1.crt" -CAkey "$P/$1.key" -set_serial "0x$(openssl rand -hex 16)" -days 3650 \
    -out "$P/$2.crt.tmp" -extfile <(echo "basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=$4
${5:+subjectAltName=$5}") 2>/dev/null
  rm "$P/$2.csr"; mv "$P/$2.crt.tmp" "$P/$2.crt"
}
mkca ca singlenode-ca
mkca etcd-ca singlenode-etcd-ca          # its own CA: a cluster client certificate must not open etcd
mkcert etcd-ca etcd-server    /CN=etcd            serverAuth,clientAuth IP:127.0.0.1
mkcert etcd-ca etcd-client    /CN=kube-apiserver  clientAuth
mkcert ca apiserver           /CN=kube-apiserver  serverAuth \
  "IP:$K8S_NODE_IP,IP:$K8S_API_SVC_IP,IP:127.0.0.1,DNS:localhost,DNS:$K8S_NODE_NAME,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.$K8S_DOMAIN"
mkcert ca apiserver-kubelet   /O=system:masters/CN=kube-apiserver-kubelet-client clientAuth
mkcert ca kubelet-server      "/O=system:nodes/CN=system:node:$K8S_NODE_NAME" serverAuth "IP:$K8S_NODE_IP,DNS:$K8S_NODE_NAME"
mkcert ca kubelet             "/O=system:nodes/CN=system:node:$K8S_NODE_NAME" clientAuth
mkcert ca admin               /O=system:masters/CN=singlenode-admin clientAuth
mkcert ca controller-manager  /CN=system:kube-controller-manager clientAuth
mkcert ca scheduler           /CN=system:kube-scheduler clientAuth
mkcert ca kube-proxy          /CN=system:kube-proxy clientAuth
mkcert ca dns                 /CN=singlenode-dns clientAuth
[ -e "$P/sa.pub" ] || { openssl genrsa -out "$P/sa.key" 2048 2>/dev/null; openssl rsa -in "$P/sa.key" -pubout -out "$P/sa.pub.tmp" 2>/dev/null; mv "$P/sa.pub.tmp" "$P/sa.pub"; }

API=https://$K8S_NODE_IP:$K8S_API_PORT
mkkubeconfig() { # mkkubeconfig CERTNAME FILE
  [ ! -e "$2" ] || return 0
  cat >"$2.new" <<Y
apiVersion: v1
kind: Config
clusters: [{name: singlenode, cluster: {server: "$API", certificate-authority-data: $(base64 -w0 "$P/ca.crt")}}]
users: [{name: $1, user: {client-certificate-data: $(base64 -w0 "$P/$1.crt"), client-key-data: $(base64 -w0 "$P/$1.key")}}]
contexts: [{name: singlenode, context: {cluster: singlenode, user: $1}}]
current-context: singlenode
Y
  mv "$2.new" "$2"
}
for c in controller-manager scheduler kubelet kube-proxy dns; do mkkubeconfig $c "$STATE/conf/$c.kubeconfig"; done
mkkubeconfig admin "$STATE/kubeconfig"
K=("$BIN/kubectl" --kubeconfig "$STATE/kubeconfig" --cache-dir "$STATE/run/kubectl-cache")
step "machine and keys prepared"

# --- etcd --------------------------------------------------------------------------------------------------------------
part etcd "$BIN/etcd" --name k8s --data-dir "$STATE/etcd" \
  --listen-client-urls "https://127.0.0.1:$K8S_ETCD_PORT" --advertise-client-urls "https://127.0.0.1:$K8S_ETCD_PORT" \
  --listen-peer-urls "https://127.0.0.1:$K8S_ETCD_PEER_PORT" --initial-advertise-peer-urls "https://127.0.0.1:$K8S_ETCD_PEER_PORT" \
  --initial-cluster "k8s=https://127.0.0.1:$K8S_ETCD_PEER_PORT" \
  --cert-file "$P/etcd-server.crt" --key-file "$P/etcd-server.key" --client-cert-auth --trusted-ca-file "$P/etcd-ca.crt" \
  --peer-cert-file "$P/etcd-server.crt" --peer-key-file "$P/etcd-server.key" --peer-client-cert-auth --peer-trusted-ca-file "$P/etcd-ca.crt" \
  --unsafe-no-fsync --quota-backend-bytes 1073741824 --auto-compaction-retention 1h --log-level warn

# --- API server --------------------------------------------------------------------------------------------------------
part kube-apiserver "$BIN/kube-apiserver" \
  --etcd-servers "https://127.0.0.1:$K8S_ETCD_PORT" --etcd-cafile "$P/etcd-ca.crt" --etcd-certfile "$P/etcd-client.crt" --etcd-keyfile "$P/etcd-client.key" \
  --bind-address "$K8S_NODE_IP" --advertise-address "$K8S_NODE_IP" --secure-port "$K8S_API_PORT" \
  --tls-cert-file "$P/apiserver.crt" --tls-private-key-file "$P/apiserver.key" --client-ca-file "$P/ca.crt" \
  --kubelet-client-certificate "$P/apiserver-kubelet.crt" --kubelet-client-key "$P/apiserver-kubelet.key" \
  --kubelet-certificate-authority "$P/ca.crt" --kubelet-preferred-address-types InternalIP \
  --service-account-issuer "https://kubernetes.default.svc.$K8S_DOMAIN" \
  --service-account-signing-key-file "$P/sa.key" --service-account-key-file "$P/sa.pub" \
  --service-cluster-ip-range "$K8S_SVC_CIDR" --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
  --allow-privileged=true --profiling=false --v 1

# --- containerd (its own instance: own root, own socket) ----------------------------------------------------------------
conf "$STATE/conf/containerd.toml" containerd <<Y
version = 3
root = "$STATE/containerd/root"
state = "$STATE/containerd/state"
disabled_plugins = ["io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.erofs", "io.containerd.differ.v1.erofs",
  "io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri", "io.containerd.image-verifier.v1.bindir"]
[grpc]
  address = "$STATE/containerd/c.sock"
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "$K8S_PAUSE_IMAGE"
  [plugins."io.containerd.cri.v1.images".registry]
    # one folder HOST[:PORT] per registry, read anew on each pull: no restart to add one
    config_path = "$STATE/certs.d"
[plugins."io.containerd.cri.v1.runtime"]
  # without CAP_SYS_RESOURCE no process may get a lower oom_score_adj than its parent: this clamps the values asked for
  restrict_oom_score_adj = true
  disable_apparmor = true
  # pods' network namespaces are mounted under STATE_DIR instead of /var/run/netns
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["/usr/lib/cni"]
    conf_dir = "$STATE/cni/net.d"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      SystemdCgroup = false
      Root = "$STATE/containerd/runc"
[plugins."io.containerd.grpc.v1.cri"]
  stream_server_address = "127.0.0.1"
Y
# ptp, not bridge: each pod hangs on its own veth and all traffic is routed through the host, so that kube-proxy's rules
# see pod-to-pod traffic too, with or without br_netfilter, and no bridge is left to clean up.
cat >"$STATE/cni/net.d/10-k8s.conflist" <<Y
{"cniVersion": "1.0.0", "name": "singlenode", "plugins": [
  {"type": "ptp", "ipMasq": false, "mtu": 1400,
   "ipam": {"type": "host-local", "dataDir": "$STATE/cni/ipam", "ranges": [[{"subnet": "$K8S_POD_CIDR"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}, "conditionsV4": ["-d", "$K8S_NODE_IP/32"]}
]}
Y
part containerd "$BIN/containerd" --config "$STATE/conf/containerd.toml" --log-level warn
start_parts
export CONTAINERD_SUPPRESS_DEPRECATION_WARNINGS=1      # ctr repeats at each call that cgroup v1 is deprecated
CTR=("$BIN/ctr" -a "$STATE/containerd/c.sock" -n k8s.io)
wait_for 30 containerd "${CTR[@]}" version || die "containerd: see $STATE/logs/containerd.log"
[ -n "$("${CTR[@]}" images ls -q "name==$K8S_PAUSE_IMAGE")" ] || "${CTR[@]}" images import "$CACHE/pause.tar" >/dev/null
step "containerd answers"

wait_for 120 "the API server" "${K[@]}" get --raw /readyz || die "kube-apiserver: see $STATE/logs/kube-apiserver.log"
step "API server ready"

# --- kubelet -------------------------------------------------------------------------------------------------------------
: >"$STATE/conf/resolv.conf"              # nothing of the machine's own resolver gets into the pods
conf "$STATE/conf/kubelet.yaml" kubelet <<Y
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $K8S_NODE_IP
port: $K8S_KUBELET_PORT
readOnlyPort: 0
healthzBindAddress: 127.0.0.1
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $P/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $P/kubelet-server.crt
tlsPrivateKeyFile: $P/kubelet-server.key
containerRuntimeEndpoint: unix://$STATE/containerd/c.sock
clusterDNS: [$K8S_DNS_SVC_IP]
clusterDomain: $K8S_DOMAIN
resolvConf: $STATE/conf/resolv.conf
podLogsDir: $STATE/kubelet/pod-logs
volumePluginDir: $STATE/kubelet/volume-plugins
failCgroupV1: false                        # 1.35 and later refuse cgroup v1 unless told otherwise
cgroupDriver: cgroupfs
enforceNodeAllocatable: []
failSwapOn: false
oomScoreAdj: 0
# the machine's disk is shared with everything else on it: evict late, collect images late
evictionHard: {memory.available: 100Mi, nodefs.available: 1Gi, imagefs.available: 1Gi}
imageGCHighThresholdPercent: 100
# no waiting in a test: pulls side by side and unthrottled, client and events unthrottled, crashed containers retried soon
serializeImagePulls: false
registryPullQPS: 0
eventRecordQPS: 0
kubeAPIQPS: 500
kubeAPIBurst: 1000
crashLoopBackOff: {maxContainerRestartPeriod: 10s}
Y
part kubelet "$BIN/kubelet" --config "$STATE/conf/kubelet.yaml" --kubeconfig "$STATE/conf/kubelet.kubeconfig" \
  --root-dir "$STATE/kubelet" --cert-dir "$STATE/kubelet/pki" \
  --hostname-override "$K8S_NODE_NAME" --node-ip "$K8S_NODE_IP" --v 1

# --- controller-manager and scheduler -----------------------------------------------------------------------------------
part kube-controller-manager "$BIN/kube-controller-manager" --kubeconfig "$STATE/conf/controller-manager.kubeconfig" \
  --bind-address 127.0.0.1 --leader-elect=false --use-service-account-credentials=true \
  --root-ca-file "$P/ca.crt" --service-account-private-key-file "$P/sa.key" \
  --cluster-signing-cert-file "$P/ca.crt" --cluster-signing-key-file "$P/ca.key" \
  --service-cluster-ip-range "$K8S_SVC_CIDR" --cluster-name singlenode --kube-api-qps 500 --kube-api-burst 1000 --profiling=false --v 1
conf "$STATE/conf/scheduler.yaml" kube-scheduler <<Y
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection: {kubeconfig: $STATE/conf/scheduler.kubeconfig, qps: 500, burst: 1000}
leaderElection: {leaderElect: false}
enableProfiling: false
Y
part kube-scheduler "$BIN/kube-scheduler" --config "$STATE/conf/scheduler.yaml" --bind-address 127.0.0.1 --v 1

# --- kube-proxy -----------------------------------------------------------------------------------------------------------
conf "$STATE/conf/kube-proxy.yaml" kube-proxy <<Y
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: $STATE/conf/kube-proxy.kubeconfig, qps: 500, burst: 1000}
hostnameOverride: $K8S_NODE_NAME
mode: iptables
iptables: {minSyncPeriod: 100ms, localhostNodePorts: true}    # default 1s: so late a new endpoint was
clusterCIDR: $K8S_POD_CIDR
nodePortAddresses: [127.0.0.0/8, $K8S_NODE_IP/32]
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
conntrack: {maxPerCore: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
oomScoreAdj: 0
Y
part kube-proxy "$BIN/kube-proxy" --config "$STATE/conf/kube-proxy.yaml" --v 1

start_parts

# --- cluster DNS ------------------------------------------------------------------------------------------------------------
# CoreDNS as a process on the node's address. Pods find it where they expect it: the kube-dns Service in kube-system.
# dns/hosts first, then the cluster's names, then a root zone without any names, so that everything else is NXDOMAIN at once.
"${K[@]}" apply --server-side --force-conflicts --field-manager up.sh -f - >/dev/null <<Y
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: singlenode-dns}
rules:
- {apiGroups: [""], resources: [services, pods, namespaces, endpoints], verbs: [list, watch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: singlenode-dns}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: singlenode-dns}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: singlenode-dns}]
---
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec: {clusterIP: $K8S_DNS_SVC_IP, ports: [{name: dns, protocol: UDP, port: 53}, {name: dns-tcp, protocol: TCP, port: 53}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kube-dns-node, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns, endpointslice.kubernetes.io/managed-by: up.sh}}
addressType: IPv4
ports: [{name: dns, protocol: UDP, port: 53}, {name: dns-tcp, protocol: TCP, port: 53}]
endpoints: [{addresses: [$K8S_NODE_IP], conditions: {ready: true}}]
Y
[ -e "$STATE/dns/hosts" ] || echo "$K8S_NODE_IP host.$K8S_DOMAIN" >"$STATE/dns/hosts"
cat >"$STATE/dns/empty.zone" <<Y
. 5 IN SOA ns. none. 1 3600 600 86400 5
. 5 IN NS ns.
Y
conf "$STATE/dns/Corefile" coredns <<Y
. {
  bind $K8S_NODE_IP
  errors
  ready 127.0.0.1:$K8S_DNS_READY_PORT
  hosts $STATE/dns/hosts {
    ttl 2
    reload 500ms
    fallthrough
  }
  kubernetes $K8S_DOMAIN in-addr.arpa {
    kubeconfig $STATE/conf/dns.kubeconfig singlenode
    ttl 2
    fallthrough in-addr.arpa
  }
  file $STATE/dns/empty.zone .
}
Y
part coredns "$BIN/coredns" -conf "$STATE/dns/Corefile"
start_parts

# --- ready? ------------------------------------------------------------------------------------------------------------------
node_ready() { # a Ready of before a restart is no news: the heartbeat has to be this kubelet's
  local status beat since; since=$(date -u -r "$STATE/run/kubelet.pid" +%FT%TZ)
  read -r status beat <<<"$("${K[@]}" get node "$K8S_NODE_NAME" -o jsonpath='{range .status.conditions[?(@.type=="Ready")]}{.status} {.lastHeartbeatTime}{end}')"
  [ "$status" = True ] && [[ ! "$beat" < "$since" ]]
}
wait_for 120 "node $K8S_NODE_NAME to be Ready" node_ready || die "see $STATE/logs/kubelet.log and containerd.log"
step "node Ready"
wait_for 30 "the default service account" "${K[@]}" get serviceaccount default
step "default service account there"
wait_for 30 "the kubernetes service through kube-proxy" curl -sS --connect-timeout 0.3 --max-time 2 --cacert "$P/ca.crt" "https://$K8S_API_SVC_IP/livez"
step "kube-proxy works"
wait_for 30 "cluster DNS" curl -sSf --max-time 2 "http://127.0.0.1:$K8S_DNS_READY_PORT/ready"
# after a kill the API server tells of containers that are dead until the kubelet has looked
containers_true() {
  local tasks id; tasks=" $("${CTR[@]}" tasks ls | awk '$3 == "RUNNING" {print $1}' | tr '\n' ' ')"
  for id in $("${K[@]}" get pods -A -o jsonpath='{range .items[*].status.containerStatuses[?(@.state.running)]}{.containerID} {end}'); do
    [[ $tasks == *" ${id#containerd://} "* ]] || { echo "$id is said to run"; return 1; }
  done
}
wait_for 30 "the kubelet to know its containers" containers_true
for p in "${PARTS[@]}"; do wait_for 10 "$p" supervised $p || die "$p does not stay up: see $STATE/logs/$p.log"; done
log "up in $((SECONDS - t0))s. export KUBECONFIG=$STATE/kubeconfig; kubectl: $STATE/bin/kubectl"

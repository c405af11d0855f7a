"""The Docker engine: Debian's dockerd and containerd, with data, sockets and networks of their own."""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import json
import re
import shlex
import socket
from pathlib import Path
from urllib.parse import urlsplit

from typing_extensions import override

from slipway_sandbox import debian
from slipway_sandbox.layout import SandboxError, write_file
from slipway_sandbox.leftovers import cgroup_name, remove_cgroups, unmount_below
from slipway_sandbox.part import Part
from slipway_sandbox.run import run
from slipway_sandbox.supervisor import Program

BRIDGE = "slipway0"
# the first that no route of this machine overlaps; its first /24 is the default bridge's
SUBNETS = ("10.201.0.0/16", "10.211.0.0/16", "10.221.0.0/16", "172.29.0.0/16", "192.168.0.0/16")


def choose_subnet(routes: list[ipaddress.IPv4Network]) -> ipaddress.IPv4Network:
    """The first subnet that nothing on this machine uses.

    :raises SandboxError: all are in use
    """
    for candidate in map(ipaddress.IPv4Network, SUBNETS):
        if not any(candidate.overlaps(route) for route in routes):
            return candidate
    raise SandboxError(f"every subnet for Docker's networks is in use: {', '.join(SUBNETS)}")


def is_listening(path: Path) -> bool:
    """Tell whether anybody takes connections at a socket; what is no socket, or is busy, may be somebody's."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(5)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
    return True


class Docker(Part):
    """dockerd on a socket below the state folder; a bridge with a name of its own in place of docker0."""

    name = "docker"
    depends = ("network",)
    debian = ("/usr/sbin/dockerd", "/usr/bin/docker", "/usr/bin/containerd", "/usr/sbin/iptables")

    @property
    def cgroup(self) -> str:
        """The cgroup below which the engine puts its containers."""
        return f"{cgroup_name(self.layout.state)}-docker"

    def _subnet(self) -> ipaddress.IPv4Network:
        """The /16 of the engine's networks, chosen once."""
        record = self.folder / "machine.json"
        if record.is_file():
            return ipaddress.IPv4Network(json.loads(record.read_text())["subnet"])
        shown = json.loads(run(["ip", "-4", "-json", "route"], what="reading the routes").stdout or "[]")
        routes = [
            ipaddress.IPv4Network(route["dst"], strict=False)
            for route in shown
            if route.get("dst") not in (None, "default") and route.get("dev") != BRIDGE
        ]
        subnet = choose_subnet(routes)
        policy = (
            run(["iptables", "-w", "-S", "FORWARD"], what="reading iptables")
            .stdout.split("\n")[0]
            .split()[-1]
        )
        forward = Path("/proc/sys/net/ipv4/ip_forward").read_text().strip()
        write_file(
            record, json.dumps({"subnet": str(subnet), "forward_policy": policy, "ip_forward": forward})
        )
        return subnet

    @override
    def prepare(self) -> None:
        self.folder.mkdir(exist_ok=True, mode=0o711)
        subnet = self._subnet()
        networks = list(subnet.subnets(new_prefix=17))
        default = next(networks[0].subnets(new_prefix=24))
        gateway = next(default.hosts())
        if run(["ip", "link", "show", BRIDGE], what="looking for Docker's bridge", accept=(0, 1)).returncode:
            run(["ip", "link", "add", BRIDGE, "type", "bridge"], what="making Docker's bridge")
        # also when it is there: whoever made it may have been ended before the next step
        address = f"{gateway}/{default.prefixlen}"
        for arguments in (["addr", "replace", address, "dev", BRIDGE], ["link", "set", BRIDGE, "up"]):
            run(["ip", *arguments], what="making Docker's bridge")
        settings = {
            "bridge": BRIDGE,
            "default-address-pools": [{"base": str(networks[1]), "size": 24}],
            "data-root": str(self.folder / "data"),
            "exec-root": str(self.folder / "exec"),
            "pidfile": str(self.folder / "docker.pid"),
            "deprecated-key-path": str(self.folder / "key.json"),  # else /etc/docker/key.json
            "hosts": [self.sandbox.docker_host],
            "containerd": str(self.folder / "containerd.sock"),
            "exec-opts": ["native.cgroupdriver=cgroupfs"],
            "cgroup-parent": self.cgroup,
            "storage-driver": "overlay2",
            "live-restore": False,
            "shutdown-timeout": 5,
            "oom-score-adjust": 0,
            "log-level": "warn",
            "log-opts": {"max-size": "10m", "max-file": "2"},
            "features": {"buildkit": True},
            "builder": {"gc": {"enabled": True, "defaultKeepStorage": "20GB"}},
            # a container asks the machine's resolver only if it has any; nothing reaches out unless told
        }
        write_file(self.folder / "daemon.json", json.dumps(settings, indent=1), 0o600)
        containerd = f"""version = 2
root = "{self.folder}/containerd/root"
state = "{self.folder}/containerd/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = "{self.folder}/containerd.sock"
"""
        write_file(self.folder / "containerd.toml", containerd, 0o600)
        known = self.sandbox.supervisor.processes()
        runs = any(known.get(name, {}).get("pid") for name in ("dockerd", "docker-containerd"))
        # a supervisor that is too busy to answer says nothing of what it runs: the sockets do
        if not runs and not any(
            is_listening(self.folder / one) for one in ("docker.sock", "containerd.sock")
        ):
            for name in ("docker.pid", "docker.sock", "containerd.sock", "containerd.sock.ttrpc"):
                (self.folder / name).unlink(missing_ok=True)

    @override
    def programs(self) -> list[Program]:
        dockerd, containerd = (
            debian.program(self.layout, path) for path in ("/usr/sbin/dockerd", "/usr/bin/containerd")
        )
        path = f"{dockerd.parent}:{containerd.parent}:/usr/sbin:/usr/bin:/sbin:/bin"
        # the registry's certificate is ours: no file in /etc/docker is needed for it
        environment = {"PATH": path, "SSL_CERT_FILE": str(self.layout.ca_bundle)}
        serve: list[str | Path] = [
            containerd,
            "--config",
            self.folder / "containerd.toml",
            "--log-level",
            "warn",
        ]
        engine: list[str | Path] = [dockerd, "--config-file", self.folder / "daemon.json"]
        # never the group: containers outlive a restart of the processes that watch them
        return [
            Program(
                "docker-containerd",
                serve,
                {"PATH": path},
                kill_group=False,
                reads=[self.folder / "containerd.toml"],
            ),
            Program(
                "dockerd",
                engine,
                environment,
                stop_wait_s=40,
                kill_group=False,
                reads=[self.folder / "daemon.json", self.layout.ca_bundle],
            ),
        ]

    @override
    def ready(self) -> str | None:
        address = urlsplit(self.sandbox.docker_host)
        if address.scheme != "unix":
            return self._ready_remote()
        try:
            connection = http.client.HTTPConnection("docker", timeout=5)
            connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.sock.settimeout(5)
            connection.sock.connect(address.path)
            connection.request("GET", "/_ping")
            answer = connection.getresponse()
            connection.close()
        except (OSError, http.client.HTTPException) as error:
            return f"{self.sandbox.docker_host} does not answer ({error})"
        return None if answer.status == 200 else f"ping answers {answer.status}"

    def _ready_remote(self) -> str | None:
        import docker

        try:
            client = docker.DockerClient(base_url=self.sandbox.docker_host, timeout=5)
            client.ping()
        except docker.errors.DockerException as error:
            return f"{self.sandbox.docker_host} does not answer ({error})"
        return None

    @override
    def address(self) -> str:
        return self.sandbox.docker_host

    @override
    def clean(self) -> None:
        unmount_below(self.folder)
        remove_cgroups(self.cgroup)
        # BuildKit's own has a fixed name; another engine's, which is not empty, stays
        for name in ("*/docker/buildkit", "*/docker"):
            for folder in Path("/sys/fs/cgroup").glob(name):
                with contextlib.suppress(OSError):
                    folder.rmdir()
        links = self._links()
        for link in links:
            run(["ip", "link", "del", link], what=f"removing {link}", accept=(0, 1))
        self._clean_iptables(links)
        for stale in ("docker.pid", "docker.sock", "containerd.sock", "containerd.sock.ttrpc"):
            (self.folder / stale).unlink(missing_ok=True)
        shims = Path("/run/containerd/s")
        if shims.is_dir():
            for path in shims.iterdir():
                if not is_listening(path):  # its shim is gone
                    path.unlink(missing_ok=True)
        for folder in (shims, shims.parent, Path("/run/docker/plugins"), Path("/run/docker")):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        (self.folder / "machine.json").unlink(missing_ok=True)

    def _links(self) -> list[str]:
        """The bridges of the engine's networks that exist: named after the id, with an address of ours."""
        record = self.folder / "data/network/files/local-kv.db"
        kept = record.read_bytes() if record.is_file() else b""
        machine = self.folder / "machine.json"
        subnets = [json.loads(machine.read_text())["subnet"]] if machine.is_file() else list(SUBNETS[:3])
        links = []
        shown = run(["ip", "-4", "-json", "addr"], what="reading the addresses").stdout
        for link in json.loads(shown or "[]"):
            inside = any(_within(info["local"], subnet) for info in link["addr_info"] for subnet in subnets)
            is_network = re.fullmatch(r"br-[0-9a-f]{12}", link["ifname"]) is not None
            if link["ifname"] == BRIDGE or (is_network and (inside or link["ifname"].encode() in kept)):
                links.append(link["ifname"])
        return links

    def _clean_iptables(self, links: list[str]) -> None:
        """Remove what dockerd put into the firewall; its chains stay if another engine's rules use them."""
        if not links and not (self.folder / "machine.json").is_file():
            return
        before = json.loads(record.read_text()) if (record := self.folder / "machine.json").is_file() else {}
        tables = {
            table: run(["iptables-save", "-t", table], what="reading iptables").stdout.splitlines()
            for table in ("nat", "filter", "raw")
        }
        ours = {table: own_rules(saved, links, before.get("subnet")) for table, saved in tables.items()}
        shared = any(uses_docker_chains(set(saved) - set(ours[table])) for table, saved in tables.items())
        for table, saved in tables.items():
            doomed = ours[table]
            if not shared:  # the jumps into the chains, too; then the chains
                doomed = doomed + [
                    rule for rule in saved if rule not in doomed and re.search(r"^-A .* -j DOCKER", rule)
                ]
            for rule in doomed:
                run(
                    ["iptables", "-w", "-t", table, "-D", *shlex.split(rule)[1:]],
                    what="removing a rule",
                    accept=(0, 1, 2),
                )
            chains = [] if shared else [line.split()[0][1:] for line in saved if line.startswith(":DOCKER")]
            for action in ("-F", "-X"):
                for chain in chains:
                    run(
                        ["iptables", "-w", "-t", table, action, chain], what="removing a chain", accept=(0, 1)
                    )
        if shared:
            self.say("another Docker engine uses iptables here: its chains stay")
        elif before.get("forward_policy"):
            run(
                ["iptables", "-w", "-P", "FORWARD", before["forward_policy"]],
                what="restoring the FORWARD policy",
            )


def own_rules(saved: list[str], links: list[str], subnet: str | None) -> list[str]:
    """The rules out of iptables-save that name one of our bridges or masquerade our addresses."""
    bridge = re.compile(rf"\s-[io] (?:{'|'.join(map(re.escape, links))})\s")
    found = []
    for rule in saved:
        source = re.search(r"-s (\S+)", rule)
        inside = bool(subnet and source and _within(source[1], subnet))
        if rule.startswith("-A ") and (bridge.search(f"{rule} ") or inside):
            found.append(rule)
    return found


def uses_docker_chains(rules: set[str]) -> bool:
    """Whether rules of another engine's bridge go through Docker's chains."""
    return any(
        re.search(r"\s-[io] \S+", rule) and (rule.startswith("-A DOCKER") or "-j DOCKER" in rule)
        for rule in rules
    )


def _within(network: str, outer: str) -> bool:
    return ipaddress.IPv4Network(network, strict=False).subnet_of(ipaddress.IPv4Network(outer))

"""The bridge that carries the address at which pods and containers reach the sandbox's servers."""

from __future__ import annotations

from typing_extensions import override

from slipway_sandbox.layout import NODE_ADDRESS
from slipway_sandbox.part import Part
from slipway_sandbox.run import run


class Network(Part):
    """The bridge `k8s0`, made and removed by the cluster's script: addresses and firewall in one hand."""

    name = "network"
    debian = ("/usr/sbin/ip", "/usr/sbin/iptables")

    def script(self, action: str) -> None:
        """Run the script that makes and removes the bridge."""
        run(
            [
                "bash",
                self.layout.checkout / "sandbox/kubernetes/network.sh",
                action,
                self.layout.state / "kubernetes",
            ],
            what=f"network {action}",
        )

    @override
    def prepare(self) -> None:
        # also when the bridge is there: it may be another sandbox's, dead and gone
        if self.ready() is None:
            self.script("up")
        else:
            self.timed(lambda: self.script("up"), "bridge k8s0 is up")

    @override
    def ready(self) -> str | None:
        shown = run(["ip", "-4", "-o", "addr", "show", "dev", "k8s0"], what="looking at k8s0", accept=(0, 1))
        return None if f" {NODE_ADDRESS}/" in shown.stdout else f"no interface k8s0 with {NODE_ADDRESS}"

    @override
    def address(self) -> str:
        return NODE_ADDRESS

    @override
    def clean(self) -> None:
        self.script("down")

    @override
    def status(self) -> dict[str, object]:
        problem = self.ready()
        return {
            "state": "stopped" if problem else "running",
            "address": self.address(),
            "problem": None,
            "processes": {},
        }

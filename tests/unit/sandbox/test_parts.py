"""What the parts are told: rights, subnets, firewall rules."""

import ipaddress
import socket
from dataclasses import astuple
from pathlib import Path

import pytest

from slipway_sandbox.layout import SandboxError
from slipway_sandbox.parts.docker import SUBNETS, choose_subnet, is_listening, own_rules, uses_docker_chains
from slipway_sandbox.parts.git import PUSH_RIGHTS
from slipway_sandbox.parts.kubernetes import manifests
from slipway_sandbox.parts.vault import lease_statements, worker_policy
from slipway_sandbox.services import Service, load_services

SERVICE = Service(
    "ai-generation", "services/ai-generation", "main", "config/ai-generation", "main", "ai-generation",
    "ai_generation", "ai-generation-migrate",
)  # fmt: skip
SECOND = Service(
    "prompt-library", "services/prompt-library", "main", "config/prompt-library", "main", "prompt-library",
    "prompt_library", "prompt-library-migrate",
)  # fmt: skip
LINKS = Service("links", "services/links", "main", "config/links", "main", "links", None, None)
NOTES = Service(
    "notes", "services/notes", "main", "config/notes", "main", "notes", "notes", "notes-migrate"
)  # fmt: skip
RULES = """\
-A FORWARD -j DOCKER-USER
-A FORWARD -o slipway0 -j DOCKER
-A FORWARD -i br-0123456789ab ! -o br-0123456789ab -j ACCEPT
-A POSTROUTING -s 10.201.0.0/24 ! -o slipway0 -j MASQUERADE
-A FORWARD -m comment --comment "pods stay on this machine" -j K8SN-EGRESS
""".splitlines()


def test_socket_that_somebody_listens_at_is_told_from_one_that_was_left(tmp_path: Path) -> None:
    assert not is_listening(tmp_path / "none")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(tmp_path / "s"))
        server.listen(1)
        assert is_listening(tmp_path / "s")
    assert not is_listening(tmp_path / "s")


def test_catalog_of_this_checkout_gives_the_services() -> None:
    checkout = Path(__file__).parents[3]
    assert load_services(checkout / "include/services") == [SERVICE, LINKS, NOTES, SECOND]


def test_services_share_no_part_of_the_sandbox() -> None:
    names = [set(astuple(one)) - {"main"} for one in (SERVICE, SECOND)]
    assert not names[0] & names[1]
    assert not {SERVICE.owner_role, SERVICE.app_role, SERVICE.dag_id} & {
        SECOND.owner_role,
        SECOND.app_role,
        SECOND.dag_id,
    }


def test_subnet_of_the_containers_avoids_what_the_machine_routes() -> None:
    networks = [ipaddress.IPv4Network(subnet) for subnet in SUBNETS]
    assert choose_subnet([]) == networks[0]
    assert choose_subnet([ipaddress.IPv4Network("10.201.7.0/24")]) == networks[1]
    with pytest.raises(SandboxError, match="every subnet"):
        choose_subnet(networks)


def test_only_rules_of_our_bridges_and_addresses_are_ours() -> None:
    found = own_rules(RULES, ["slipway0", "br-0123456789ab"], "10.201.0.0/16")
    assert found == RULES[1:4]
    assert own_rules(RULES, ["slipway"], "10.9.0.0/16") == []


def test_chains_stay_while_another_engines_bridge_uses_them() -> None:
    assert uses_docker_chains({"-A FORWARD -o docker0 -j DOCKER"})
    assert not uses_docker_chains({"-A FORWARD -j DOCKER-USER", "-A FORWARD -o other -j ACCEPT"})


def test_workers_may_read_the_services_secrets_and_lease_roles_but_nothing_else() -> None:
    policy = worker_policy([SERVICE, SECOND])
    assert 'path "secret/data/services/ai-generation" { capabilities = ["read"] }' in policy
    assert 'path "database/creds/ai-generation-migrate" { capabilities = ["read"] }' in policy
    assert 'path "database/creds/prompt-library-migrate" { capabilities = ["read"] }' in policy
    assert 'path "sys/leases/revoke" { capabilities = ["update"] }' in policy
    assert not any(word in policy for word in ("*", "sudo", "delete", "create", "list", "+"))


def test_leased_role_acts_as_the_owner_and_leaves_nothing_behind() -> None:
    create, drop = lease_statements(SERVICE)
    assert 'IN ROLE "ai_generation_owner"' in create[0]
    assert create[1] == 'ALTER ROLE "{{name}}" SET ROLE "ai_generation_owner";'
    assert [statement.split()[0] for statement in drop] == ["SELECT", "REASSIGN", "DROP", "DROP"]


def test_cluster_identity_has_rights_in_the_services_namespaces_only() -> None:
    found = manifests(["b", "a", "a"], "10.200.0.1:15000", "pull", "secret")
    assert not any(manifest["kind"].startswith("Cluster") for manifest in found)
    roles = [manifest for manifest in found if manifest["kind"] == "Role"]
    assert {(role["metadata"]["namespace"], role["metadata"]["name"]) for role in roles} == {
        (namespace, name) for namespace in "ab" for name in ("slipway", "slipway-infra")
    }
    words = [word for role in roles for rule in role["rules"] for key in rule for word in rule[key]]
    assert "*" not in words
    assert not {"roles", "rolebindings", "nodes", "escalate", "impersonate"} & set(words)


def test_slipway_may_write_notes_and_nothing_else() -> None:
    assert PUSH_RIGHTS["services"]["slipway"] == ["refs/notes/"]
    assert "slipway" not in PUSH_RIGHTS["config"]

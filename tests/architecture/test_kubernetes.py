"""The Kubernetes manifests fit together: what one names, another has."""

import json
from pathlib import Path
from typing import Any

import yaml

from quantum.service.options import DEFAULT_GRACE
from services import catalog

BASE = Path(__file__).parents[2] / "deploy/kubernetes/base"
OVERLAYS = BASE.parent / "overlays"
COMPONENT = "app.kubernetes.io/component"


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def resources(kind: str) -> dict[str, dict[str, Any]]:
    listed = documents(BASE / "kustomization.yaml")[0]["resources"]
    found = [one for name in listed for one in documents(BASE / name)]
    return {one["metadata"]["name"]: one for one in found if one["kind"] == kind}


def workloads() -> dict[str, dict[str, Any]]:
    return resources("Deployment") | resources("StatefulSet")


def pod(workload: dict[str, Any]) -> dict[str, Any]:
    return dict(workload["spec"]["template"]["spec"])


def test_every_room_has_a_workload_and_every_manifest_is_listed() -> None:
    assert set(workloads()) == {*catalog.ROOMS, "nats"}
    kustomization = documents(BASE / "kustomization.yaml")[0]
    used = {*kustomization["resources"], *(patch["path"] for patch in kustomization["patches"])}
    assert {path.name for path in BASE.glob("*.yaml")} == used | {"kustomization.yaml"}


def test_every_volume_that_is_mounted_is_there_and_every_one_that_is_there_is_mounted() -> None:
    for name, workload in workloads().items():
        claims = workload["spec"].get("volumeClaimTemplates", [])
        there = {volume["name"] for volume in pod(workload)["volumes"]}
        there |= {claim["metadata"]["name"] for claim in claims}
        assert {m["name"] for m in pod(workload)["containers"][0]["volumeMounts"]} == there, name


def test_selectors_find_pods_and_services_find_their_ports() -> None:
    for name, workload in workloads().items():
        chosen = workload["spec"]["selector"]["matchLabels"]
        assert chosen.items() <= workload["spec"]["template"]["metadata"]["labels"].items(), name
    for name, service in resources("Service").items():
        container = pod(workloads()[service["spec"]["selector"][COMPONENT]])["containers"][0]
        ports = {port["name"]: port for port in container["ports"]}
        for port in service["spec"]["ports"]:
            found = ports[port.get("targetPort", port["name"])]
            assert found.get("protocol") == port.get("protocol"), name
    for name, budget in resources("PodDisruptionBudget").items():
        assert budget["spec"]["selector"]["matchLabels"][COMPONENT] in workloads(), name


def test_a_pod_is_killed_only_after_all_the_time_it_may_take_to_end() -> None:
    spec = pod(documents(BASE / "room-patch.yaml")[0])
    command, seconds = spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert command == "sleep"
    assert spec["terminationGracePeriodSeconds"] > int(seconds) + DEFAULT_GRACE


def test_the_configuration_of_the_deployment_is_valid() -> None:
    catalog.parse(json.loads((BASE / "config.json").read_text()))


def test_the_production_cluster_of_nats_has_as_many_servers_as_the_rooms_are_told() -> None:
    overlay = OVERLAYS / "production"
    counts = {
        replicas["name"]: replicas["count"]
        for replicas in documents(overlay / "kustomization.yaml")[0]["replicas"]
    }
    told = pod(documents(overlay / "room-nats.yaml")[0])["containers"][0]["env"][0]["value"]
    routes = pod(documents(overlay / "nats-cluster.yaml")[0])["containers"][0]["args"][-1]
    names = [f"nats-{number}.nats" for number in range(counts["nats"])]
    assert told == ",".join(f"nats://{name}:4222" for name in names)
    assert routes == ",".join(f"nats-route://quantum:$(NATS_TOKEN)@{name}:6222" for name in names)

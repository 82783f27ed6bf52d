"""The Helm chart: what it renders is valid, least in rights, and meets what the processor asks."""

from __future__ import annotations

import json
import subprocess
import tomllib
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
from cloudcoil.models.keda.v1alpha1 import ScaledObject
from cloudcoil.models.prometheus_operator.v1 import ServiceMonitor
from pydantic import BaseModel

from processor.config import ROLES, Settings
from tests.deploy.conftest import CHART, ROOT, Manifest, Render, template

pytestmark = pytest.mark.needs_more

EVERYTHING = (
    'autoscaling.kind="keda"',
    'autoscaling.keda.authenticationRef="kafka"',
    'autoscaling.keda.metadata={"sasl":"scram_sha512","tls":"enable"}',
    "serviceMonitor.enabled=true",
    "workers.webhooks.enabled=true",
    'existingSecret="optout-secrets"',
    'tlsSecret="kafka-ca"',
    'pod={"labels":{"team":"a"},"annotations":{"b":"c"},"nodeSelector":{"d":"e"},'
    '"tolerations":[{"operator":"Exists"}],"extraEnv":[{"name":"F","value":"g"}]}',
    'networkPolicy.extraEgress=[{"ports":[{"port":443}]}]',
    'settings={"FETCH_BYTES":1048576,"GATE_MAX_STALENESS_S":2.5}',
)
LEAST = (
    "api.enabled=false",
    "topics.create=false",
    "networkPolicy.enabled=false",
    "podDisruptionBudget.enabled=false",
    "serviceAccount.create=false",
    "workers.gate.enabled=false",
    "workers.rates.enabled=false",
    'workers.match.roles=["match","gate","rates"]',
)
HPA = ('autoscaling.kind="hpa"',)
WAYS = [(), EVERYTHING, LEAST, HPA]
OWN_KINDS: dict[str, type[BaseModel]] = {
    "ScaledObject": ScaledObject,
    "ServiceMonitor": ServiceMonitor,
}


@pytest.fixture(params=WAYS, ids=["default", "everything", "least", "hpa"])
def manifests(request: pytest.FixtureRequest, render: Render) -> list[Manifest]:
    return render(*request.param)


def of_kind(manifests: list[Manifest], kind: str) -> dict[str, Manifest]:
    return {one["metadata"]["name"]: one for one in manifests if one["kind"] == kind}


def pods(manifests: list[Manifest]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """The metadata and the spec of every pod that comes of it."""
    for one in manifests:
        if one["kind"] in ("Deployment", "Job"):
            template = one["spec"]["template"]
            yield template["metadata"], template["spec"]
        elif one["kind"] == "Pod":
            yield one["metadata"], one["spec"]


def containers(manifests: list[Manifest]) -> list[dict[str, Any]]:
    return [container for _, spec in pods(manifests) for container in spec["containers"]]


def test_helm_finds_nothing_to_say(helm: str) -> None:
    done = subprocess.run([helm, "lint", "--strict", CHART], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("kubernetes", ["1.27", "1.31", "1.37"])
def test_every_manifest_is_valid(manifests: list[Manifest], kubernetes: str) -> None:
    for manifest in manifests:
        if model := OWN_KINDS.get(manifest["kind"]):
            model.model_validate(manifest, extra="forbid")
        else:
            kubernetes_validate.validate(manifest, kubernetes, strict=True)


def test_a_name_that_does_not_exist_would_be_found(render: Render) -> None:
    deployment = of_kind(render(), "Deployment")["here-optout-gate"]
    broken = {**deployment, "spec": {**deployment["spec"], "replica": 1}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, "1.31", strict=True)
    scaled = of_kind(render(*EVERYTHING), "ScaledObject")["here-optout-gate"]
    with pytest.raises(ValueError, match="maxReplicas"):
        ScaledObject.model_validate(
            {**scaled, "spec": {**scaled["spec"], "maxReplicas": 1}}, extra="forbid"
        )


def test_everything_that_was_asked_for_is_there(render: Render) -> None:
    assert {one["kind"] for one in render(*EVERYTHING)} == {
        "ConfigMap",
        "Deployment",
        "Job",
        "NetworkPolicy",
        "Pod",
        "PodDisruptionBudget",
        "ScaledObject",
        "Service",
        "ServiceAccount",
        "ServiceMonitor",
    }
    assert {one["kind"] for one in render(*LEAST)} == {"ConfigMap", "Deployment", "Pod", "Service"}


def test_every_pod_is_as_the_restricted_standard_asks(manifests: list[Manifest]) -> None:
    for _, spec in pods(manifests):
        security = spec["securityContext"]
        assert security["runAsNonRoot"]
        assert security["runAsUser"] >= 10_000
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert "memory" in container["resources"]["limits"]
            assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"]


def test_a_process_has_its_probes_and_its_time_to_finish(manifests: list[Manifest]) -> None:
    for deployment in of_kind(manifests, "Deployment").values():
        spec = deployment["spec"]["template"]["spec"]
        [container] = spec["containers"]
        paths = [
            container[f"{name}Probe"]["httpGet"]["path"]
            for name in ("startup", "liveness", "readiness")
        ]
        assert paths == ["/livez", "/livez", "/readyz"]
        port = 8080 if container["name"] == "api" else 6066
        assert container["ports"] == [{"name": "http", "containerPort": port}]
        assert spec["terminationGracePeriodSeconds"] > 30
        assert {one["topologyKey"] for one in spec["topologySpreadConstraints"]} == {
            "topology.kubernetes.io/zone",
            "kubernetes.io/hostname",
        }


def test_every_setting_is_one_of_the_processors(manifests: list[Manifest]) -> None:
    given = {name for one in of_kind(manifests, "ConfigMap").values() for name in one["data"]}
    given |= {env["name"] for each in containers(manifests) for env in each.get("env", ())}
    names = {name.removeprefix("OPTOUT_").lower() for name in given if name.startswith("OPTOUT_")}
    assert names <= set(Settings.model_fields)


NOT_HERE = {
    "ROLES": "a worker's are given in workers",
    **dict.fromkeys(("WEB_HOST", "API_HOST"), "is 0.0.0.0 in a pod"),
    **dict.fromkeys(("API_CERTFILE", "API_KEYFILE"), "an ingress speaks TLS for pods"),
    "WEB_PORT": "is 6066 in a pod",
    "API_PORT": "is 8080 in a pod",
    "INSTANCE_ID": "must be another one for each worker",
    **dict.fromkeys(
        ("KAFKA_PASSWORD", "METRICS_TOKEN", "OPERATOR_TOKENS", "SECRET_KEYS"),
        "belongs in existingSecret",
    ),
}
SAID_OF_A_VALUE = {"type", "enum", "pattern", "minimum", "exclusiveMinimum", "maximum"}
UNSET = {
    "KAFKA_USERNAME": "optout",
    "KAFKA_CAFILE": "/etc/optout/tls/ca.crt",
    "KAFKA_CERTFILE": "/etc/optout/tls/tls.crt",
    "KAFKA_KEYFILE": "/etc/optout/tls/tls.key",
    "GATE_MAX_STALENESS_S": 2.5,
    "EVENT_SOURCE": "https://example.com/optout",
    "PUBLIC_URL": "https://example.com",
    "TRACING": True,
    "WEBHOOK_ALLOW_NETWORKS": "10.1.0.0/16,fd00::/8",
    "TRUSTED_PROXIES": "10.2.0.0/16",
}


def settable() -> dict[str, dict[str, Any]]:
    """What the processor says of each setting that may stand in the values, and its default."""
    described = Settings.model_json_schema()
    found = {}
    for name, one in described["properties"].items():
        if name.upper() in NOT_HERE:
            continue
        value = one.get("anyOf", [one])[0]
        if "$ref" in value:
            value = described["$defs"][value["$ref"].rpartition("/")[2]]
        if value["type"] == "array":
            value = {"type": "string"}  # comma-separated
        found[name.upper()] = {**value, "default": one["default"]}
    return found


def test_the_values_may_hold_what_the_processor_takes_and_nothing_else() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))
    settings = schema["properties"]["settings"]
    taken = {
        name: {word: said for word, said in one.items() if word in SAID_OF_A_VALUE}
        for name, one in settable().items()
    }
    refused = {name: {"not": {}, "description": why} for name, why in NOT_HERE.items()}
    assert settings["properties"] == taken | refused
    assert settings["additionalProperties"] is False


def test_every_setting_can_be_set(render: Render, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {
        name: UNSET.get(name, one["default"]) for name, one in settable().items()
    }
    [config] = of_kind(render(f"settings={json.dumps(given)}"), "ConfigMap").values()
    assert set(config["data"]) == {f"OPTOUT_{name}" for name in given}
    for name, value in config["data"].items():
        monkeypatch.setenv(name, value)
    assert Settings() == Settings(**{name.lower(): value for name, value in given.items()})


def test_numbers_are_written_as_they_are(render: Render) -> None:
    [config] = of_kind(render(*EVERYTHING), "ConfigMap").values()
    assert config["data"] == {
        "OPTOUT_FETCH_BYTES": "1048576",
        "OPTOUT_GATE_MAX_STALENESS_S": "2.5",
        "OPTOUT_KAFKA_BOOTSTRAP": "kafka:9092",
        "OPTOUT_PARTITIONS": "12",
        "OPTOUT_TOPIC_PREFIX": "optout.",
    }


@pytest.mark.parametrize("way", [(), LEAST, HPA])
def test_the_workers_have_every_role_once(render: Render, way: tuple[str, ...]) -> None:
    given = [
        role
        for container in containers(render(*way))
        for env in container.get("env", ())
        if env["name"] == "OPTOUT_ROLES"
        for role in env["value"].split(",")
    ]
    assert sorted(given) == sorted(ROLES)


def test_what_selects_pods_finds_some(manifests: list[Manifest]) -> None:
    labels = [meta["labels"] for meta, _ in pods(manifests)]
    for one in manifests:
        spec = one.get("spec", {})
        if one["kind"] == "Service":
            selector = spec["selector"]
        elif one["kind"] in ("Deployment", "PodDisruptionBudget"):
            selector = spec["selector"]["matchLabels"]
        elif one["kind"] == "NetworkPolicy":
            selector = spec["podSelector"]["matchLabels"]
        else:
            continue
        assert any(selector.items() <= each.items() for each in labels), one["metadata"]["name"]


def test_a_pods_ports_are_open_to_others(manifests: list[Manifest]) -> None:
    for one in containers(manifests):
        hosts = [env["value"] for env in one.get("env", ()) if env["name"].endswith("_HOST")]
        assert hosts == (["0.0.0.0"] if "ports" in one else [])


def test_a_token_for_metrics_is_sent_where_it_is_given(render: Render) -> None:
    token = {"credentials": {"name": "optout", "key": "OPTOUT_METRICS_TOKEN"}}
    given = f"serviceMonitor.authorization={json.dumps(token)}"
    for monitor in of_kind(render(*EVERYTHING, given), "ServiceMonitor").values():
        assert [one["authorization"] for one in monitor["spec"]["endpoints"]] == [token]


def test_metrics_are_read_from_a_service_of_each(render: Render) -> None:
    manifests = render(*EVERYTHING)
    services = of_kind(manifests, "Service").values()
    for monitor in of_kind(manifests, "ServiceMonitor").values():
        selector = monitor["spec"]["selector"]["matchLabels"]
        [service] = [
            one for one in services if selector.items() <= one["metadata"]["labels"].items()
        ]
        [endpoint] = monitor["spec"]["endpoints"]
        assert endpoint["path"] == "/metrics"
        assert [port["name"] for port in service["spec"]["ports"]] == [endpoint["port"]]


@pytest.mark.parametrize(
    ("partitions", "most", "cap"), [(12, 0, 12), (48, 0, 48), (48, 20, 20), (4, 20, 4)]
)
def test_keda_scales_by_lag_up_to_a_replica_a_partition(
    render: Render, partitions: int, most: int, cap: int
) -> None:
    manifests = render(
        *EVERYTHING, f"settings.PARTITIONS={partitions}", f"autoscaling.maxReplicas={most}"
    )
    scaled = of_kind(manifests, "ScaledObject")
    assert set(scaled) == {"here-optout-match", "here-optout-gate", "here-optout-webhooks"}
    topics = tomllib.loads((ROOT / "schemas" / "topics.toml").read_text("utf-8"))
    for name, one in scaled.items():
        role = name.rpartition("-")[2]
        assert one["spec"]["maxReplicaCount"] == cap
        assert one["spec"]["scaleTargetRef"]["name"] in of_kind(manifests, "Deployment")
        triggers = [trigger["metadata"] for trigger in one["spec"]["triggers"]]
        read = [trigger["topic"].removeprefix("optout.") for trigger in triggers]
        assert all(role in topics[topic]["readers"] for topic in read)
        assert {trigger["consumerGroup"] for trigger in triggers} == {f"optout.{role}"}
        assert {trigger["limitToPartitionsWithLag"] for trigger in triggers} == {"true"}


def test_who_is_scaled_has_no_number_of_its_own_and_others_have(render: Render) -> None:
    def numbers(*values: str) -> dict[str, Any]:
        found = of_kind(render(*values), "Deployment")
        return {name: one["spec"].get("replicas") for name, one in found.items()}

    fixed = {
        "here-optout-match": 2,
        "here-optout-gate": 2,
        "here-optout-webhooks": 2,
        "here-optout-rates": 1,
        "here-optout-api": 2,
    }
    scaled = {**fixed, "here-optout-match": None, "here-optout-gate": None}
    scaled["here-optout-webhooks"] = None
    assert (numbers(), numbers(*HPA), numbers(*EVERYTHING)) == (fixed, scaled, scaled)
    assert numbers("settings.PARTITIONS=1")["here-optout-gate"] == 1


def test_the_topics_job_needs_nothing_that_comes_after_it(render: Render) -> None:
    [job] = of_kind(render(*EVERYTHING), "Job").values()
    spec = job["spec"]["template"]["spec"]
    [container] = spec["containers"]
    assert "serviceAccountName" not in spec
    assert container["args"] == ["topics", "create"]
    assert container["envFrom"] == [{"secretRef": {"name": "optout-secrets"}}]
    [config] = of_kind(render(*EVERYTHING), "ConfigMap").values()
    assert {env["name"]: env["value"] for env in container["env"]} == config["data"]


def test_the_api_and_the_webhooks_have_the_secret_keys_of_the_existing_secret(
    render: Render,
) -> None:
    deployments = of_kind(render('existingSecret="optout-secrets"'), "Deployment")
    for name in ("api", "webhooks"):
        [container] = deployments[f"here-optout-{name}"]["spec"]["template"]["spec"]["containers"]
        assert {"secretRef": {"name": "optout-secrets"}} in container["envFrom"]
        # What is written out in the pod would go before the Secret's.
        assert "OPTOUT_SECRET_KEYS" not in {env["name"] for env in container.get("env", ())}


def test_only_what_is_needed_may_be_reached(render: Render) -> None:
    policies = of_kind(render(*EVERYTHING), "NetworkPolicy")
    all_pods = policies["here-optout"]["spec"]
    assert all_pods["policyTypes"] == ["Ingress", "Egress"]
    ports = {port["port"] for rule in all_pods["egress"] for port in rule["ports"]}
    assert ports == {53, 443, 6379, 8080, 9092}
    closed = of_kind(render("networkPolicy.metricsFrom=[]"), "NetworkPolicy")
    # A rule with nobody in it would let all in.
    assert "ingress" not in closed["here-optout"]["spec"]
    assert closed["here-optout-api"]["spec"]["ingress"][0]["from"] == [{"podSelector": {}}]


def test_only_webhooks_may_reach_the_world_and_nothing_private_in_it(render: Render) -> None:
    policies = of_kind(render("workers.webhooks.enabled=true"), "NetworkPolicy")
    spec = policies["here-optout-webhooks"]["spec"]
    assert spec["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "worker-webhooks"
    [rule] = spec["egress"]
    assert rule["ports"] == [{"port": 80}, {"port": 443}]
    excepted = [network for peer in rule["to"] for network in peer["ipBlock"]["except"]]
    assert {"10.0.0.0/8", "169.254.0.0/16", "fc00::/7"} <= set(excepted)
    to_all = [
        name
        for name, one in policies.items()
        if any(
            "ipBlock" in peer
            for rule in one["spec"].get("egress", ())
            for peer in rule.get("to", ())
        )
    ]
    assert to_all == ["here-optout-webhooks"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("settings.PARTITIONS=0", "settings/PARTITIONS"),
        ('settings.KAFKA_BOOTSTRAP="kafka"', "settings/KAFKA_BOOTSTRAP"),
        ('settings.OPTOUT_ROLES="match"', "OPTOUT_ROLES"),
        ("settings.API_REFUSE_BLOCKD=false", "API_REFUSE_BLOCKD"),
        ('settings.API_REFUSE_BLOCKED="no"', "settings/API_REFUSE_BLOCKED"),
        ("settings.API_IMPORT_MAX_BYTES=10", "settings/API_IMPORT_MAX_BYTES"),
        ('settings.ROLES="match"', "settings/ROLES"),
        ('settings.KAFKA_PASSWORD="s"', "settings/KAFKA_PASSWORD"),
        ("terminationGracePeriodSeconds=30", "terminationGracePeriodSeconds"),
        ("workers.match.roles=[]", "workers/match/roles"),
        ("workers.match.replica=3", "replica"),
        ('autoscaling.kind="lag"', "autoscaling/kind"),
        ('image.digest="latest"', "image/digest"),
        ("networkPolicy.apiFrom=[]", "networkPolicy/apiFrom"),
        ("topicz.create=true", "topicz"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(helm: str, value: str, said: str) -> None:
    done = template(helm, [value])
    assert done.returncode != 0
    assert said in done.stderr


def test_a_role_without_lag_is_not_scaled_by_it(helm: str) -> None:
    done = template(helm, ['autoscaling.kind="keda"', 'workers.gate.roles=["letters"]'])
    assert "workers.gate: the role letters has no lag to be scaled by" in done.stderr


def test_the_chart_is_the_packages_version() -> None:
    about = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert f"appVersion: {about['version']}\n" in (CHART / "Chart.yaml").read_text("utf-8")

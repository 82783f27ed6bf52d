"""The Helm chart: its manifests are valid, ask for few rights, and suit the processor."""

from __future__ import annotations

import json
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from cloudcoil.models.keda.v1alpha1 import ScaledObject
from cloudcoil.models.prometheus_operator.v1 import ServiceMonitor
from pydantic import BaseModel

from processor.config import ROLES, Settings
from processor.webhooks.addresses import is_reachable
from tests.deploy.conftest import CHART, ROOT, Manifest, Render, template

pytestmark = pytest.mark.needs_more

EVERYTHING = (
    'autoscaling.kind="keda"',
    'autoscaling.keda.authenticationRef="kafka"',
    'autoscaling.keda.metadata={"sasl":"scram_sha512","tls":"enable"}',
    "serviceMonitor.enabled=true",
    "workers.webhooks.enabled=true",
    "carriers.enabled=true",
    'existingSecret="optout-secrets"',
    'tlsSecret="kafka-ca"',
    'pod={"labels":{"team":"a"},"annotations":{"b":"c"},"nodeSelector":{"d":"e"},'
    '"tolerations":[{"operator":"Exists"}],"extraEnv":[{"name":"F","value":"g"}]}',
    'networkPolicy.extraEgress=[{"ports":[{"port":443}]}]',
    'networkPolicy.kafkaTo=[{"podSelector":{"matchLabels":{"strimzi.io/cluster":"kafka"}}}]',
    'networkPolicy.redisTo=[{"ipBlock":{"cidr":"10.1.0.0/24"}}]',
    'settings={"FETCH_BYTES":1048576,"GATE_MAX_STALENESS_S":2.5,'
    '"KAFKA_SECURITY_PROTOCOL":"SASL_SSL","WEBHOOK_ALLOW_NETWORKS":"10.2.0.0/16, fd00::/8"}',
    'workers.gate.existingSecret="gate-secrets"',
    'workers.gate.tlsSecret="gate-ca"',
    'workers.match.kafkaUser="optout.match"',
    'topics.kafkaUser="optout.topics"',
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
    """The metadata and the spec of every pod in the manifests."""
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
        port = {"api": 8080, "carriers": 8090}.get(container["name"], 6066)
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
    "ROLES": "set roles in workers",
    **dict.fromkeys(("WEB_HOST", "API_HOST"), "always 0.0.0.0 in a pod"),
    **dict.fromkeys(("API_CERTFILE", "API_KEYFILE"), "use certSecret or an ingress for TLS"),
    "CARRIERS_HOST": "always 0.0.0.0 in a pod",
    "CARRIERS_PORT": "always 8090 in a pod",
    "WEB_PORT": "always 6066 in a pod",
    "API_PORT": "always 8080 in a pod",
    "INSTANCE_ID": "must differ for each worker",
    "AUDIT_DIRECTORY": "always /var/lib/optout/audit in a pod",
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
    "CARRIERS_URL": "https://sms.example.com",
    "TRACING": True,
    "WEBHOOK_ALLOW_NETWORKS": "10.1.0.0/16,fd00::/8",
    "TRUSTED_PROXIES": "10.2.0.0/16",
}


def settable() -> dict[str, dict[str, Any]]:
    """The schema and the default of each setting that the values may contain."""
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
        "OPTOUT_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "OPTOUT_PARTITIONS": "12",
        "OPTOUT_TOPIC_PREFIX": "optout.",
        "OPTOUT_WEBHOOK_ALLOW_NETWORKS": "10.2.0.0/16, fd00::/8",
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
    roles = ("match", "gate", "webhooks", "carriers")
    assert set(scaled) == {f"here-optout-{role}" for role in roles}
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
        "here-optout-carriers": 2,
        "here-optout-rates": 1,
        "here-optout-api": 2,
    }
    scaled = {**fixed, "here-optout-match": None, "here-optout-gate": None}
    scaled |= dict.fromkeys(["here-optout-webhooks", "here-optout-carriers"])
    everything = {**scaled, "here-optout-carriers-routes": 2}
    assert (numbers(), numbers(*HPA), numbers(*EVERYTHING)) == (fixed, scaled, everything)
    assert numbers("settings.PARTITIONS=1")["here-optout-gate"] == 1


def test_the_topics_job_needs_nothing_that_comes_after_it(render: Render) -> None:
    [job] = of_kind(render(*EVERYTHING), "Job").values()
    spec = job["spec"]["template"]["spec"]
    [container] = spec["containers"]
    assert "serviceAccountName" not in spec
    assert container["args"] == ["topics", "create"]
    assert "envFrom" not in container
    [config] = of_kind(render(*EVERYTHING), "ConfigMap").values()
    assert {
        env["name"]: env["value"]
        for env in container["env"]
        if env["name"] not in ("OPTOUT_KAFKA_USERNAME", "OPTOUT_KAFKA_PASSWORD")
    } == config["data"]


SASL = 'settings.KAFKA_SECURITY_PROTOCOL="SASL_SSL"'
ONE_SECRET = (SASL, 'existingSecret="all"')
SECRETS = tomllib.loads((ROOT / "deploy" / "acls.toml").read_text("utf-8"))["secrets"]


def secrets(manifests: list[Manifest]) -> dict[str, dict[str, str]]:
    """The Secret of each component's variables; a variable with a plain value has that value."""
    found: dict[str, dict[str, str]] = {}
    for meta, spec in pods(manifests):
        for container in spec["containers"]:
            component = meta["labels"]["app.kubernetes.io/component"].removeprefix("worker-")
            of = found.setdefault(f"{component}.{container['name']}", {})
            assert not [one for one in container.get("envFrom", ()) if "secretRef" in one]
            for env in container.get("env", ()):
                name = env["name"].removeprefix("OPTOUT_")
                if "valueFrom" in env:
                    ref = env["valueFrom"]["secretKeyRef"]
                    of[name] = f"{ref['name']}/{ref['key'].removeprefix('OPTOUT_')}"
                elif name == "KAFKA_USERNAME":
                    of[name] = env["value"]
    return found


def test_a_pod_has_the_variables_of_its_role_and_no_others(render: Render) -> None:
    found = secrets(render(*ONE_SECRET, "workers.audit.enabled=true"))
    pods_of = {role: f"{role}.worker" for role in (*ROLES, "audit")} | {"api": "api.api"}
    for role, names in SECRETS.items():
        for one in [pods_of[role]] if role in pods_of else ["topics.topics", "test.topics"]:
            assert found[one] == {name: f"all/{name}" for name in names}, one
    assert found["test.api"] == {}
    assert {name for names in SECRETS.values() for name in names} - {"REDIS_URL"} <= {
        *NOT_HERE,
        "KAFKA_USERNAME",
    }


def test_a_worker_of_several_roles_has_the_variables_of_each(render: Render) -> None:
    found = secrets(render(*ONE_SECRET, 'workers.match.roles=["gate","webhooks"]'))
    assert set(found["match.worker"]) == {*SECRETS["gate"], *SECRETS["webhooks"]}


def test_each_role_may_have_a_secret_and_users_of_its_own(render: Render) -> None:
    own = [f'workers.{role}.existingSecret="of-{role}"' for role in ROLES]
    own += ['api.existingSecret="of-api"', 'topics.existingSecret="of-topics"']
    for component, of in secrets(render(SASL, *own)).items():
        role = component.partition(".")[0].replace("test", "topics")
        assert {one.partition("/")[0] for one in of.values()} <= {f"of-{role}"}, component
    users = [f'workers.{role}.kafkaUser="optout.{role}"' for role in ROLES]
    users += ['api.kafkaUser="optout.api"', 'topics.kafkaUser="optout.topics"']
    for component, of in secrets(render(*ONE_SECRET, *users)).items():
        role = component.partition(".")[0].replace("test", "topics")
        if component != "test.api":
            assert of["KAFKA_USERNAME"] == f"optout.{role}"
            assert of["KAFKA_PASSWORD"] == f"optout.{role}/password"
            assert of.get("REDIS_URL", "all/REDIS_URL") == "all/REDIS_URL"


def test_a_secret_that_lacks_what_is_needed_stops_the_pod_and_not_the_rest(render: Render) -> None:
    for _, spec in pods(render(*ONE_SECRET)):
        for container in spec["containers"]:
            for env in container.get("env", ()):
                ref = env.get("valueFrom", {}).get("secretKeyRef", {})
                may_lack = env["name"] in (
                    "OPTOUT_SECRET_KEYS",
                    "OPTOUT_OPERATOR_TOKENS",
                    "OPTOUT_METRICS_TOKEN",
                )
                assert ref.get("optional", False) == may_lack
    # A Secret is not asked for a setting that the values contain.
    given = (*ONE_SECRET, 'settings.REDIS_URL="redis://r:6379/0"', 'settings.KAFKA_USERNAME="u"')
    found = secrets(render(*given))
    assert {*found["gate.worker"]} == {"KAFKA_PASSWORD", "METRICS_TOKEN"}
    # Nor is a password, where Kafka has no users.
    found = secrets(render('existingSecret="all"'))
    assert {*found["gate.worker"]} == {"REDIS_URL", "METRICS_TOKEN"}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((SASL,), "SASL_SSL needs a user and a password: give"),
        (('workers.gate.kafkaUser="u"',), "workers.gate.kafkaUser: settings.KAFKA_SECURITY"),
    ],
)
def test_users_that_cannot_log_in_are_refused(
    helm: str, values: tuple[str, ...], said: str
) -> None:
    done = template(helm, values)
    assert done.returncode != 0
    assert said in done.stderr


def test_the_files_of_tls_are_the_roles_own_or_the_common_ones(render: Render) -> None:
    def laid(name: str, manifests: list[Manifest]) -> dict[str, str]:
        spec = of_kind(manifests, "Deployment")[f"here-optout-{name}"]["spec"]["template"]["spec"]
        at = {one["name"]: one["mountPath"] for one in spec["containers"][0]["volumeMounts"]}
        volumes = [one for one in spec["volumes"] if "secret" in one]
        return {at[one["name"]]: one["secret"]["secretName"] for one in volumes}

    everything = render(*EVERYTHING)
    assert laid("gate", everything) == {"/etc/optout/tls": "gate-ca"}
    assert laid("match", everything) == {"/etc/optout/tls": "kafka-ca"}
    assert laid("api", render('api.certSecret="api-cert"')) == {"/etc/optout/cert": "api-cert"}


def test_with_a_certificate_the_api_is_asked_by_https(render: Render) -> None:
    manifests = render('api.certSecret="api-cert"', "serviceMonitor.enabled=true")
    [container] = of_kind(manifests, "Deployment")["here-optout-api"]["spec"]["template"]["spec"][
        "containers"
    ]
    env = {one["name"]: one.get("value") for one in container["env"]}
    assert env["OPTOUT_API_CERTFILE"] == "/etc/optout/cert/tls.crt"
    assert env["OPTOUT_API_KEYFILE"] == "/etc/optout/cert/tls.key"
    for name in ("startup", "liveness", "readiness"):
        assert container[f"{name}Probe"]["httpGet"]["scheme"] == "HTTPS"
    [endpoint] = of_kind(manifests, "ServiceMonitor")["here-optout-api"]["spec"]["endpoints"]
    assert endpoint["scheme"] == "https"
    asked = containers([one for one in manifests if one["kind"] == "Pod"])[1]["command"][-1]
    assert asked == "https://here-optout-api:80/readyz"
    for manifest in manifests:
        if model := OWN_KINDS.get(manifest["kind"]):
            model.model_validate(manifest, extra="forbid")
        else:
            kubernetes_validate.validate(manifest, "1.31", strict=True)


def reached(policy: Manifest) -> dict[int, list[dict[str, Any]] | None]:
    """The ports that a policy opens outward, each with its destinations; None: any."""
    return {
        port["port"]: rule.get("to") for rule in policy["spec"]["egress"] for port in rule["ports"]
    }


def test_only_what_is_needed_may_be_reached(render: Render) -> None:
    policies = of_kind(render(*EVERYTHING), "NetworkPolicy")
    assert policies["here-optout"]["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert set(reached(policies["here-optout"])) == {53, 443, 9092}
    assert set(reached(policies["here-optout-redis"])) == {6379}
    assert policies["here-optout-redis"]["spec"]["podSelector"]["matchExpressions"] == [
        {"key": "app.kubernetes.io/component", "operator": "NotIn", "values": ["topics", "test"]}
    ]
    assert set(reached(policies["here-optout-test"])) == {8080}
    closed = of_kind(render("networkPolicy.metricsFrom=[]"), "NetworkPolicy")
    # A rule with an empty list would let everything in.
    assert "ingress" not in closed["here-optout"]["spec"]
    assert closed["here-optout-api"]["spec"]["ingress"][0]["from"] == [{"podSelector": {}}]


def test_servers_are_reached_where_they_are_said_to_be(render: Render) -> None:
    policies = of_kind(render(*EVERYTHING), "NetworkPolicy")
    kafka, redis = reached(policies["here-optout"]), reached(policies["here-optout-redis"])
    assert kafka[9092] == [{"podSelector": {"matchLabels": {"strimzi.io/cluster": "kafka"}}}]
    assert redis[6379] == [{"ipBlock": {"cidr": "10.1.0.0/24"}}]
    dns = {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}
    assert kafka[53] == [{"namespaceSelector": dns}, {"ipBlock": {"cidr": "169.254.20.10/32"}}]
    usual = of_kind(render(), "NetworkPolicy")
    assert reached(usual["here-optout"])[9092] is None
    assert reached(usual["here-optout-redis"])[6379] is None


NOBODYS = [  # and yet they reach a server
    *("169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
    *("10.0.0.1", "172.31.0.1", "192.168.1.1", "100.64.0.1", "127.0.0.1", "0.0.0.0", "198.18.0.1"),
    *("::1", "fd00:ec2::254", "fe80::1", "ff02::1", "::7f00:1"),
]


def test_only_webhooks_and_carriers_may_reach_the_world_and_nothing_private_in_it(
    render: Render,
) -> None:
    policies = of_kind(render(), "NetworkPolicy")
    spec = policies["here-optout-webhooks"]["spec"]
    assert spec["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "worker-webhooks"
    [rule] = spec["egress"]
    assert rule["ports"] == [{"port": 80}, {"port": 443}]
    blocks = [peer["ipBlock"] for peer in rule["to"]]
    assert [block["cidr"] for block in blocks] == ["0.0.0.0/0", "::/0"]
    excepted = [ip_network(one) for block in blocks for one in block["except"]]
    for address in map(ip_address, NOBODYS):
        assert any(address in network for network in excepted), address
    # The policy lets the same addresses through as the worker.
    for network in excepted:
        assert not is_reachable(str(network[1 % network.num_addresses]), ()) or network == AZURE
    to_all = [
        name
        for name, one in policies.items()
        if any(
            peer.get("ipBlock", {}).get("cidr") in ("0.0.0.0/0", "::/0")
            for rule in one["spec"].get("egress", ())
            for peer in rule.get("to", ())
        )
    ]
    assert to_all == ["here-optout-carriers", "here-optout-webhooks"]


AZURE = ip_network("168.63.129.16/32")


def test_networks_that_webhooks_may_reach_are_let_through(render: Render) -> None:
    [rule] = of_kind(render(*EVERYTHING), "NetworkPolicy")["here-optout-webhooks"]["spec"]["egress"]
    blocks = [peer["ipBlock"] for peer in rule["to"]]
    assert blocks[2:] == [{"cidr": "10.2.0.0/16"}, {"cidr": "fd00::/8"}]


@pytest.fixture
def notes(helm: str, tmp_path: Path) -> Callable[..., str]:
    """The notes shown after an install; `helm template` leaves them out."""
    chart = tmp_path / "optout"
    shutil.copytree(CHART, chart)
    (chart / "NOTES.txt").write_bytes((CHART / "templates" / "NOTES.txt").read_bytes())
    (chart / "templates" / "notes.yaml").write_text(
        'kind: Notes\nsaid: {{ tpl (.Files.Get "NOTES.txt") . | quote }}\n'
    )

    def said(*values: str) -> str:
        done = template(helm, values, chart=chart)
        assert done.returncode == 0, done.stderr
        manifests = [one for one in yaml.safe_load_all(done.stdout) if one]
        [found] = [one["said"] for one in manifests if one["kind"] == "Notes"]
        return " ".join(found.split())

    return said


CLOSED = (
    *(f'workers.{role}.existingSecret="{role}"' for role in ROLES),
    *('api.existingSecret="api"', 'topics.existingSecret="topics"', 'api.certSecret="cert"', SASL),
    'networkPolicy.kafkaTo=[{"podSelector":{}}]',
    'networkPolicy.redisTo=[{"podSelector":{}}]',
)


def test_what_is_open_is_said(notes: Callable[..., str]) -> None:
    usual = notes()
    for said in (
        "no existingSecret is set, so Redis is redis://127.0.0.1:6379/0",
        "KAFKA_SECURITY_PROTOCOL is PLAINTEXT: numbers and texts go to Kafka in clear text,"
        " and Kafka",
        "The API does not use TLS: credentials travel in clear text",
        "networkPolicy.kafkaTo is empty: pods reach port 9092 of any address",
        "networkPolicy.redisTo is empty: pods reach port 6379 of any address",
    ):
        assert said in usual
    assert "Open security settings" not in notes(*CLOSED)
    assert "all log in to Redis" not in usual
    assert "workers.gate, workers.match" in notes('existingSecret="all"')
    assert "all log in to Redis" in notes('existingSecret="all"')
    without_tls = [one for one in CLOSED if "certSecret" not in one]
    assert "Open security settings" not in notes(
        *without_tls, 'settings.PUBLIC_URL="https://a.example"'
    )


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("networkPolicy.enabled=false", "every pod of the cluster reaches the API"),
        ("networkPolicy.dnsTo=[]", "dnsTo is empty: pods reach port 53 of any address"),
        (
            'api.service.type="LoadBalancer"',
            "clients outside the cluster reach the API without a proxy",
        ),
        ('networkPolicy.apiFrom=[{"namespaceSelector":{}}]', "apiFrom lets every pod"),
        ('networkPolicy.metricsFrom=[{"ipBlock":{"cidr":"0.0.0.0/0"}}]', "metricsFrom lets every"),
    ],
)
def test_each_thing_that_is_opened_is_said(
    notes: Callable[..., str], value: str, said: str
) -> None:
    assert said in notes(*CLOSED, value)


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
        ("networkPolicy.kafkaTo=[{}]", "networkPolicy/kafkaTo"),
        ('networkPolicy.redisTo=["10.0.0.0/8"]', "networkPolicy/redisTo"),
        ('networkPolicy.dnsTo=[{"cidr":"10.0.0.0/8"}]', "networkPolicy/dnsTo"),
        ('workers.gate.existingSecret="A B"', "workers/gate/existingSecret"),
        ('api.kafkaUser="-"', "api/kafkaUser"),
        ('topics.secret="s"', "topics"),
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


def test_the_audit_keeps_its_state_and_is_never_two_pods(render: Render) -> None:
    [made] = [
        one
        for name, one in of_kind(
            render("workers.audit.enabled=true", 'workers.audit.stateClaim="audits"'), "Deployment"
        ).items()
        if name == "here-optout-audit"
    ]
    pod = made["spec"]["template"]["spec"]
    assert made["spec"]["strategy"] == {"type": "Recreate"}
    [volume] = [one for one in pod["volumes"] if one["name"] == "audit"]
    assert volume["persistentVolumeClaim"] == {"claimName": "audits"}
    [worker] = pod["containers"]
    env = {one["name"]: one.get("value") for one in worker["env"]}
    [mount] = [one for one in worker["volumeMounts"] if one["name"] == "audit"]
    assert env["OPTOUT_AUDIT_DIRECTORY"] == f"{mount['mountPath']}/audit"

"""`asyncapi.yaml`: every topic, its writers and readers, and its messages, for other teams' tools.

AsyncAPI 3.0, generated from the models, `topics.toml`, the events' headers and the examples.
"""

from __future__ import annotations

import json
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from pydantic.json_schema import models_json_schema

from schemas import MODELS, cloud_events

FILE = Path(__file__).parent / "asyncapi.yaml"
PREFIX = "optout."
PROCESSOR = ("match", "gate", "webhooks", "rates", "CLI", "API")
_DAY_MS = 86_400_000
_PARTITIONS = 12
_REFERENCE = "#/components/schemas/{model}"

_LETTER = "The record as it was read; headers __connect.errors.* have its origin and the reason."
_DOCUMENT: dict[str, Any] = {
    "asyncapi": "3.0.0",
    "id": "urn:optout",
    "info": {
        "title": "optout",
        "description": "Keyword opt-out for messaging. Topics have the prefix and the partitions "
        "of an installation with default settings. Order depends on keys and partitions: "
        "partition by murmur2 of the key, as Kafka's Java client does.",
        "license": {"name": "Apache-2.0"},
    },
    "defaultContentType": cloud_events.CONTENT_TYPE,
    "servers": {
        "kafka": {
            "host": "{bootstrap}",
            "protocol": "kafka",
            "variables": {"bootstrap": {"default": "127.0.0.1:9092"}},
        }
    },
}


def text() -> str:
    """Make the text of `asyncapi.yaml`."""
    return yaml.dump(document(), sort_keys=False, allow_unicode=True, width=100, Dumper=_Plain)


def document() -> dict[str, Any]:
    """Make the document as values."""
    folder = FILE.parent
    topics: dict[str, Any] = tomllib.loads((folder / "topics.toml").read_text("utf-8"))
    info = {**_DOCUMENT["info"], "version": version("optout")}
    return {
        **_DOCUMENT,
        "info": info,
        "channels": {topic: _channel(topic, about) for topic, about in topics.items()},
        "operations": {
            name: operation
            for topic, about in topics.items()
            for name, operation in _operations(topic, about).items()
        },
        "components": {
            "messages": {topic: _message(topic, about) for topic, about in topics.items()},
            "schemas": _schemas(),
        },
    }


def _channel(topic: str, about: dict[str, Any]) -> dict[str, Any]:
    compacted = about.get("cleanup") == "compact"
    configuration: dict[str, Any] = {"cleanup.policy": ["compact" if compacted else "delete"]}
    if "retention_days" in about:
        configuration["retention.ms"] = about["retention_days"] * _DAY_MS
    if "max_message_bytes" in about:
        configuration["max.message.bytes"] = about["max_message_bytes"]
    partitions = _PARTITIONS if about["partitions"] == "all" else about["partitions"]
    return {
        "address": PREFIX + topic,
        "description": f"Written by {', '.join(about['writers'])}; "
        f"read by {', '.join(about['readers'])}.",
        "messages": {topic: {"$ref": f"#/components/messages/{topic}"}},
        "bindings": {
            "kafka": {
                "topic": PREFIX + topic,
                "partitions": partitions,
                "topicConfiguration": configuration,
                "bindingVersion": "0.5.0",
            }
        },
    }


def _operations(topic: str, about: dict[str, Any]) -> dict[str, Any]:
    """The operations of the processor's parts on a topic; its description names other parties."""
    name = topic.replace(".", "-")
    return {
        f"{party.lower()}-{action}s-{name}": {
            "action": action,
            "channel": {"$ref": f"#/channels/{topic}"},
            "summary": f"{party} {action}s {topic}",
            "tags": [{"name": party}],
        }
        for action, parties in (("send", about["writers"]), ("receive", about["readers"]))
        for party in parties
        if party in PROCESSOR
    }


def _message(topic: str, about: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {
        "name": topic,
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": about["key"]},
                "bindingVersion": "0.5.0",
            }
        },
    }
    if topic in cloud_events.TYPES:
        message["headers"] = _headers(topic, about)
    if topic not in MODELS:
        return {**message, "contentType": "application/octet-stream", "description": _LETTER}
    folder = FILE.parent / "examples" / topic
    return {
        **message,
        "title": MODELS[topic].__name__,
        "payload": {"$ref": _REFERENCE.format(model=MODELS[topic].__name__)},
        "examples": [
            {"name": path.stem, "payload": json.loads(path.read_text("utf-8"))}
            for path in sorted(folder.glob("*.json"))
        ],
    }


def _headers(topic: str, about: dict[str, Any]) -> dict[str, Any]:
    described = cloud_events.header_schema(topic)
    if not set(about["writers"]) <= set(PROCESSOR):
        del described["required"]  # other writers of the topic may leave them out
    return described


def _schemas() -> dict[str, Any]:
    models = sorted(set(MODELS.values()), key=lambda model: model.__name__)
    _, made = models_json_schema(
        [(model, "validation") for model in models], by_alias=True, ref_template=_REFERENCE
    )
    described: dict[str, Any] = made["$defs"]
    return described


class _Plain(yaml.SafeDumper):
    """YAML without references to other places in the file."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

"""Records that are answered as they are stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue

from schemas.block_change import BlockChange
from schemas.configuration_change import ConfigurationChange


@dataclass(frozen=True, slots=True)
class _Documented:
    """What a model says, in the document only: newer fields than its own are passed on, too."""

    model: type[BaseModel]

    def __get_pydantic_json_schema__(
        self, schema: object, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """See pydantic."""
        return handler(self.model.__pydantic_core_schema__)


StoredBlockChange = Annotated[dict[str, Any], _Documented(BlockChange)]
StoredConfigurationChange = Annotated[dict[str, Any], _Documented(ConfigurationChange)]

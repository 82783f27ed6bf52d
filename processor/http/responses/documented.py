"""Plain objects that are sent unchanged, while the document describes them by a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, GetJsonSchemaHandler, TypeAdapter
from pydantic.json_schema import JsonSchemaValue

from schemas.block_change import BlockChange
from schemas.configuration_change import ConfigurationChange


@dataclass(frozen=True, slots=True)
class Documented:
    """Describes a type in the document only: values are neither checked nor filtered."""

    type: type[BaseModel]

    def __get_pydantic_json_schema__(
        self, schema: object, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """See pydantic."""
        return handler(TypeAdapter(self.type).core_schema)


# A record may have newer fields than our model.
StoredBlockChange = Annotated[dict[str, object], Documented(BlockChange)]
StoredConfigurationChange = Annotated[dict[str, object], Documented(ConfigurationChange)]

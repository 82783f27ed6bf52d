"""A recipient's address on the command line."""

from __future__ import annotations

import click

from processor.wire.spellings import NoAddress, Unclear, recipient_of


class Recipient(click.ParamType):
    """A recipient's address."""

    name = "recipient"

    def convert(self, value: str, param: object, ctx: object) -> str:
        """See ``click.ParamType``."""
        try:
            return recipient_of(value, national=True)
        except Unclear as error:
            self.fail(str(error))
        except NoAddress:
            self.fail(
                "must be an E.164 number such as +15551234567, after whatsapp: if need be, or a "
                "user id such as whatsapp:US.13491208655302741918"
            )

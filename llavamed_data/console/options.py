"""Options that several commands of both command lines take."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

option = partial(typer.Option, show_envvar=False)
"""An option whose help does not repeat the rule for environment variables."""

Prices = Annotated[Path | None, option(help="YAML of prices in place of the project's.", show_default=False)]
Rpm = Annotated[float | None, option(min=1, help="Requests a minute.", show_default=False)]
Tpm = Annotated[float | None, option(min=1, help="Tokens a minute.", show_default=False)]
Timeout = Annotated[float, option(min=1, help="Seconds that one request may take.")]
MaxCost = Annotated[
    float | None,
    option(min=0, help="Dollars at which the run stops, before passing them.", show_default=False),
]

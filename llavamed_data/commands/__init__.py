"""Every command of the command line as one call in Python: the flags' names are its keywords, and nothing is printed.

Each call returns what `--json` prints, as an object with `to_dict()`; `update`, `stats` and `show` return a list of
such objects. The command line makes its flags from the signatures and docstrings of these functions, so that neither
has what the other lacks.
"""

from llavamed_data.commands.building import build, estimate, extract, update
from llavamed_data.commands.datasets import clean, export, import_, publish, show, stats, validate

__all__ = [
    "build",
    "clean",
    "estimate",
    "export",
    "extract",
    "import_",
    "publish",
    "show",
    "stats",
    "update",
    "validate",
]

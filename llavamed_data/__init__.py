"""From PubMed Central articles, or the released LLaVA-Med files, to Hugging Face datasets.

The public names are listed with their types in `__init__.pyi`. Each is imported when it is first used, so that the
command line's help need not wait for all of them. Every command is one call: `llavamed_data.commands`. The packages
`publish`, `show` and `stats` are calls too, as they have the names of commands.
"""

import sys

# `python -m llavamed_data` or a console script begins: from here on Ctrl-C is one line
if "".join(sys.argv[:1]).rpartition("/")[2] in ("-m", "llavamed-data", "llavamed-trainer"):
    from llavamed_data.console.interrupts import handle_interrupts, stop_at_once

    handle_interrupts(stop_at_once)

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

import lazy_loader

from llavamed_data.version import __version__ as __version__

if TYPE_CHECKING:
    import inspect

_lazy, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
_CALLABLE = frozenset({"publish", "show", "stats"})


def __getattr__(name: str) -> Any:
    return importlib.import_module(f"{__name__}.{name}") if name in _CALLABLE else _lazy(name)


class _CallablePackage(ModuleType):
    """A package with the name of a command, which calls that command."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._command(*args, **kwargs)

    @property
    def __signature__(self) -> "inspect.Signature":
        import inspect  # not before it is needed: it takes longer than all of this module

        return inspect.signature(self._command)

    @property
    def _command(self) -> Any:
        return getattr(importlib.import_module("llavamed_data.commands"), self.__name__.rpartition(".")[2])


class _Package(ModuleType):
    """This package, in which a subpackage with the name of a command can be called."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _CALLABLE and isinstance(value, ModuleType):
            value.__class__ = _CallablePackage
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package

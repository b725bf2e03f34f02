"""The articles of the released evaluation set, which no training set may hold."""

from functools import cache
from importlib.resources import files

import yaml


@cache
def released_eval_pmids() -> frozenset[str]:
    """PMIDs, as digits, of the 50 articles whose figures the released evaluation set asks about."""
    table = yaml.safe_load((files(__package__) / "eval_pmids.yaml").read_text("utf-8"))
    return frozenset(map(str, table["pmids"]))

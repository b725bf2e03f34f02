"""Checks the options of a build before any work: each has its type, and none is empty, out of range, or useless."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import fields
from typing import Any, get_type_hints

from llavamed_data.console.options import check_type, check_value, flag_of
from llavamed_data.errors import UsageError
from llavamed_data.instruct import GenerationOptions
from llavamed_data.instruct.conversation import OFFLINE
from llavamed_data.pipeline.builds.options import BuildOptions
from llavamed_data.recipes import ALL_BENCHMARKS, BENCHMARKS, EVAL, Task, find_recipe

RELEASED = "released:"

_NAMES = {"licenses": "license"}

_LLM = frozenset(each.name for each in fields(GenerationOptions)) - {"generator"}
_OF_ARTICLES = frozenset({"seed", "size", "limit", "pmcids", "query", "keep_eval_articles"})
_OF_BUCKETS = frozenset({"license", "historical_ocr"})


def check_options(options: BuildOptions, names: Sequence[str]) -> None:
    """Checks the options of a build of the recipes or benchmarks `names`.

    Raises:
        UsageError: an option is of another type, empty or out of range, or would do nothing for this source and these
            names.
    """
    given = given_options(options)
    kinds = get_type_hints(BuildOptions) | get_type_hints(GenerationOptions)
    for name, value in given.items():
        if name in kinds:
            check_type(name, value, kinds[name])
        check_value(name, value)
    if options.flags and len(names) > 1:
        raise UsageError(
            "--flags is for one recipe at a time: the sets of several share ids, and not their texts"
        )
    for unused, why, advice in _unused(options, names):
        if found := [flag_of(name) for name in given if name in unused]:
            it, do = ("it", "does") if len(found) == 1 else ("them", "do")
            raise UsageError(f"{_and(found)} {do} nothing {why}: {advice or f'leave {it} out'}")


def given_options(options: BuildOptions) -> dict[str, object]:
    """Option → value for all that differ from their defaults; each by the name of its flag."""
    parts: list[tuple[Any, Any]] = [(options, BuildOptions()), (options.writing, GenerationOptions())]
    return {
        _NAMES.get(each.name, each.name): getattr(part, each.name)
        for part, default in parts
        for each in fields(part)
        if each.name not in ("writing", "update") and getattr(part, each.name) != getattr(default, each.name)
    }


def _unused(options: BuildOptions, names: Sequence[str]) -> Iterator[tuple[Collection[str], str, str]]:
    """Yields options that would have no effect, why, and what to do about it if not to leave them out."""
    writing, generator = _LLM | {"generator"}, options.writing.generator
    if any(name in ALL_BENCHMARKS for name in names):
        unused = (
            _OF_ARTICLES | _OF_BUCKETS | writing | {"keep_without_image", "image_urls", "flags", "decisions"}
        )
        yield unused, f"for {_and(names)}, whose questions are taken as they are", ""
        return
    of_benchmarks = {"language", "all_phrases", "original"}
    yield (
        of_benchmarks,
        f"for {_and(names)}",
        f"such options are for {', '.join(BENCHMARKS)} alone",
    )
    if options.source.startswith(RELEASED):
        yield _OF_ARTICLES | writing | {"flags"}, "with released files, whose rows are taken as they are", ""
        if options.images is None:
            yield _OF_BUCKETS, "without images", "name their bucket too, such as --images pmc-cloud"
        return
    of_released = {"images", "image_urls", "keep_without_image"}
    yield of_released, "with articles, which have their images", f"it is for --source {RELEASED}PATH"
    if set(names) == {EVAL}:
        yield {"size", "keep_eval_articles"}, "for eval, whose size follows from its source", ""
    tasks = {find_recipe(name).converse.task for name in names}
    if tasks == {Task.CAPTION}:
        yield writing, f"for {_and(names)}, whose answers are the captions themselves", ""
    if generator == OFFLINE:
        yield (
            _LLM - {"cleaning_rules"},  # which the offline generator's answers are cleaned with, too
            "with --generator offline, which asks no model",
            "choose --generator openai or openai-batch",
        )
    if Task.CONVERSATION not in tasks:
        yield (
            {"judge", "best"},
            f"for {_and(names)}",
            "only 10k, 60k and 60k-im have conversations to choose from",
        )
    yield from _without_judge(options)
    if generator == "openai-batch":
        yield {"rpm", "tpm"}, "with --generator openai-batch, whose pace the server sets", ""


def _without_judge(options: BuildOptions) -> Iterator[tuple[Collection[str], str, str]]:
    if options.writing.judge is None:
        yield {"flags"}, "without --judge, whose scores it is for", ""


def _and(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last

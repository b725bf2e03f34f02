"""Says which of the sets just built share articles with an evaluation or training set that lay beside them."""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from llavamed_data.console.options import flag_of
from llavamed_data.dataset.layout import CARD, UNREADABLE, neighbours
from llavamed_data.errors import one_line
from llavamed_data.pipeline.builds.articles import EVAL_ARTICLES_KEPT
from llavamed_data.pipeline.builds.checks import RELEASED, given_options
from llavamed_data.pipeline.builds.options import BuildOptions
from llavamed_data.pipeline.builds.summary import Built
from llavamed_data.recipes import EVAL
from llavamed_data.validation.articles import count_shared_articles

_NOT_OF_EVAL = ("size", "keep_eval_articles")


def shared_article_notes(datasets: Sequence[Built], options: BuildOptions) -> Iterator[str]:
    """Yields a sentence for each set just built and each set beside it that share articles, with the way out.

    A build leaves the articles of the evaluation set that its own settings give out of its training sets; an
    evaluation set from other settings may lie beside them. Sets built with `--keep-eval-articles` are passed over.
    """
    for built in datasets:
        if not built.folder or _keeps_eval_articles(built.folder):
            continue
        for beside in neighbours(built.folder):
            if _keeps_eval_articles(beside):
                continue
            try:
                shared = count_shared_articles(built.folder, beside)
            except UNREADABLE as error:
                yield (
                    f"{built.name}: {beside.name}, beside it, cannot be read, so it is not known whether they share "
                    f"articles: {one_line(str(error))}"
                )
                continue
            if shared:
                yield (
                    f"{built.name}: {shared:,} of its articles {'is' if shared == 1 else 'are'} in {beside.name} "
                    f"beside it, which was built with other settings: {_way_out(built, beside, options)}"
                )


def _keeps_eval_articles(folder: Path) -> bool:
    card = folder / CARD
    return card.is_file() and EVAL_ARTICLES_KEPT in card.read_text(encoding="utf-8", errors="replace")


def _way_out(built: Built, beside: Path, options: BuildOptions) -> str:
    """What makes the two sets share no article."""
    if built.name == EVAL:
        return f"build {beside.name} again with those of {EVAL}"
    if beside.name != EVAL:
        return "build both with the same"
    if options.source.startswith(RELEASED):
        return f"build {EVAL} from the released files, too"
    if "@" in options.source:  # perhaps a login, which is never printed
        return f"build {EVAL} again with the same"
    return f"build it again with the same: {_eval_command(options)}"


def _eval_command(options: BuildOptions) -> str:
    """The command that builds the evaluation set with the settings of a build of training sets."""
    command = ["python", "-m", "llavamed_data", "build", EVAL]
    for name, value in given_options(options).items():
        if name not in _NOT_OF_EVAL:
            command.append(flag_of(name))
            if isinstance(value, tuple):
                command.append(",".join(value))
            elif value is not True:
                command.append(str(value))
    return shlex.join(command)

"""The commands for datasets that are there: `validate`, `show`, `stats`, `clean`, `publish`, `export` and `import_`."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from llavamed_data.commands.values import folder_of, path_of, text_of
from llavamed_data.console.options import check_call
from llavamed_data.console.progress import ProgressCallback
from llavamed_data.errors import UsageError

if TYPE_CHECKING:
    from llavamed_data.exchange import ExportSummary, ImportSummary, PreferenceSummary
    from llavamed_data.instruct.cleaning import CleaningEdit
    from llavamed_data.instruct.conversation_files import CleanSummary
    from llavamed_data.publish import CollectionReport, PublishReport
    from llavamed_data.show import ShownRow
    from llavamed_data.stats import DatasetStats
    from llavamed_data.validation import ValidationReport

PREFERENCE = "preference"
"""The format of `export` that holds pairs of conversations of which reviewers prefer one."""


def validate(
    dataset: str | Path,
    *,
    flags: str | Path | None = None,
    beside: Sequence[str] | None = None,
    on_progress: ProgressCallback | None = None,
) -> "ValidationReport":
    """Check a dataset's files, rows, images and card; exit code 1 on any fault.

    Args:
        dataset: A dataset's folder, or a Hub repository (ORG/NAME).
        flags: File for a flag on each fault of a row (JSON Lines), for `review`.
        beside: other datasets; an evaluation set and a training set may share no article. By default those in the same
            parent folder.
        on_progress: called with what is being done, how much of it is done, and of how much.

    Returns:
        What was found; `ok` if nothing is wrong. Faults in the data are reported, never raised.

    Raises:
        UsageError: there is no such dataset.
        LlavaMedError: the Hub does not give the repository.
    """
    check_call(validate, locals())
    from llavamed_data.review.flags import Flag, fault_flag, write_flags
    from llavamed_data.validation import validate as run

    if flags is None:
        return run(str(dataset), beside=beside, on_progress=on_progress)
    found: list[Flag] = []
    report = run(
        str(dataset),
        beside=beside,
        on_row_fault=lambda row_id, fault: found.append(fault_flag(row_id, fault)),
        on_progress=on_progress,
    )
    write_flags(folder_of(flags), found)
    return report


def show(
    dataset: str | Path, ids: str | Iterable[str], *, images: str | Path | None = None
) -> "list[ShownRow]":
    """Show rows with their pictures and conversations.

    Args:
        dataset: A dataset's folder, or a Hub repository (ORG/NAME).
        ids: Ids of rows.
        images: Folder for image files; without it, they are written only where the terminal cannot show pictures.

    Returns:
        The rows, in the order of `ids`; with `images`, each with the files that its images were written to.

    Raises:
        UsageError: there is no such dataset, or it has no row of one of the ids.
        LlavaMedError: the dataset cannot be read.
    """
    check_call(show, locals())
    from llavamed_data.dataset.reader import Dataset
    from llavamed_data.show import find_rows

    names = [ids] if isinstance(ids, str) else list(ids)
    return find_rows(Dataset(str(dataset)), names, files=path_of(images))


def stats(
    datasets: str | Path | Iterable[str | Path],
    *,
    out: str | Path | None = None,
    sample: int | None = None,
    seed: int = 0,
    no_verbs: bool = False,
    spacy_model: str | None = None,
    on_progress: ProgressCallback | None = None,
) -> "list[DatasetStats]":
    """Show what a dataset holds: verbs and nouns, domains, turns, lengths, licences, cleaning.

    A report in the dataset's own folder (`stats`) is published with it, and the published card shows its pictures.

    Args:
        datasets: A dataset's folder or Hub repository; two are compared.
        out: Folder for index.html and one PNG for each chart.
        sample: Number of conversations on which texts are measured.
        seed: Seed that chooses the sample.
        no_verbs: Leave out verbs and nouns, which need a parser and most of the time.
        spacy_model: Parser to use.
        on_progress: called with what is being done, how much of it is done, and of how much.

    Returns:
        The counts of each dataset. A report is written only if `out` is given.

    Raises:
        UsageError: not one or two datasets, or one of them is none, or the parser is unknown.
        LlavaMedError: a dataset cannot be read, or spaCy is not installed.
    """
    check_call(stats, locals())
    from llavamed_data.stats import statistics, write_report

    if seed and sample is None:
        raise UsageError("--seed does nothing without --sample: it chooses the sample")
    if no_verbs and spacy_model is not None:
        raise UsageError("--spacy-model does nothing with --no-verbs: leave one of them out")
    names = [datasets] if isinstance(datasets, str | Path) else list(datasets)
    found = statistics(
        [str(name) for name in names],
        sample=sample,
        seed=seed,
        verbs=not no_verbs,
        spacy_model=spacy_model,
        on_progress=on_progress,
    )
    if out is not None:
        write_report(found, folder_of(out))
    return found


def clean(
    conversations: str | Path,
    out: str | Path | None = None,
    *,
    cleaning_rules: str | Path | None = None,
    explain: bool = False,
    flags: str | Path | None = None,
) -> "CleanSummary":
    """Clean conversations of what gives away that they were written from a text, and count what each rule did.

    Args:
        conversations: A JSON Lines file of conversations.
        out: File for the cleaned conversations; without it, they are only counted.
        cleaning_rules: YAML file of cleaning rules of your own, applied after the built-in ones.
        explain: Show each change: the round, the rule, the text before and after.
        flags: File for a flag on each change (JSON Lines), for `review`.

    Returns:
        The counts; with `explain` also each change.

    Raises:
        UsageError: a file cannot be read or written, both are one file, or a row holds no conversation.
    """
    check_call(clean, locals())
    from llavamed_data.instruct import clean_file, load_cleaning_rules
    from llavamed_data.review.flags import cleaning_flag, write_flags

    edits: list[tuple[str, CleaningEdit]] = []
    keep = (lambda name, edit: edits.append((name, edit))) if explain or flags else None
    rules = load_cleaning_rules(path_of(cleaning_rules))
    source, target = Path(conversations).expanduser(), path_of(flags)
    if target and target.resolve() in (source.resolve(), out and folder_of(out).resolve()):
        raise UsageError(f"{target} is the file of the conversations: name another one with --flags")
    summary = clean_file(source, path_of(out), rules=rules, on_edit=keep)
    if target:
        write_flags(target, (cleaning_flag(name, edit) for name, edit in edits))
    summary.edits = edits if explain else []
    return summary


def publish(
    folder: str | Path = Path("llava-med"),
    repo_id: str | None = None,
    *,
    all: bool = False,  # noqa: A002  (the flag's name)
    org: str | None = None,
    private: bool = False,
    branch: str | None = None,
    tag: str | None = None,
    replace: bool = False,
    dry_run: bool = False,
    decisions: str | Path | None = None,
    on_progress: ProgressCallback | None = None,
) -> "PublishReport | CollectionReport":
    """Publish datasets on the Hugging Face Hub; after a failure, a rerun sends only the rest.

    The login is the client's own: HF_TOKEN, or `hf auth login`.

    Args:
        folder: A dataset's folder; with --all, the folder of all of them.
        repo_id: Repository on the Hub, OWNER/NAME; created if it does not exist.
        all: Publish every dataset in FOLDER as ORG/NAME, and make a collection of them.
        org: With --all: the user or organisation.
        private: Make a new repository private.
        branch: Branch to publish on; created if it does not exist.
        tag: Name of this version, such as v1.0.
        replace: Replace another dataset, files of others, and what was edited on the Hub.
        dry_run: Show what would change and send nothing.
        decisions: File of reviewers' decisions, as `review` writes it: rows are edited, dropped and given domains in
            what is sent; FOLDER stays as it is.
        on_progress: called with what is being done, how much of it is done, and of how much.

    Returns:
        What was published, or would be; a report of all datasets with `all`.

    Raises:
        UsageError: no dataset's folder, or no name of a repository, branch or tag.
        LlavaMedError: a dataset is faulty, the login has no right, the Hub fails, somebody else published meanwhile, or
            the repository holds what only `replace` lets it replace.
    """
    check_call(publish, locals())
    from llavamed_data.publish import publish as publish_one
    from llavamed_data.publish import publish_all

    if all != (org is not None) or all == (repo_id is not None):
        raise UsageError("give a dataset's folder and --repo-id OWNER/NAME, or --all and --org ORG")
    if org is not None:
        return publish_all(
            folder,
            org,
            private=private,
            branch=branch,
            tag=tag,
            dry_run=dry_run,
            replace=replace,
            decisions=path_of(decisions),
            on_progress=on_progress,
        )
    return publish_one(
        folder,
        repo_id or "",
        private=private,
        branch=branch,
        tag=tag,
        dry_run=dry_run,
        replace=replace,
        decisions=path_of(decisions),
        on_progress=on_progress,
    )


def export(
    dataset: str | Path,
    to: str,
    out: str | Path | None = None,
    *,
    decisions: str | Path | None = None,
    against: str | Path | None = None,
    on_progress: ProgressCallback | None = None,
) -> "ExportSummary | PreferenceSummary":
    """Write a dataset in a format that LLaVA, LLaMA-Factory, ms-swift, axolotl, WebDataset or TRL's DPO trainer reads.

    The README.md in the folder says how each of them reads it. `import` gives the dataset back with nothing lost.

    Args:
        dataset: A dataset's folder, or a Hub repository (ORG/NAME).
        to: Format of the export: llava | sharegpt | webdataset | jsonl | preference
        out: New folder for the export; by default exports/NAME-FORMAT.
        decisions: With --to preference: file of reviewers' decisions, as `review` writes it.
        against: With --to preference: the dataset that reviewers compared with; without it, their edits of answers
            are the pairs.
        on_progress: called with what is being done, how much of it is done, and of how much.

    Returns:
        What was written.

    Raises:
        UsageError: an unknown format, a folder that exists already, or no dataset.
        LlavaMedError: the dataset cannot be read, or a column's type has no form in JSON.
    """
    check_call(export, locals())
    from llavamed_data.exchange import export_dataset, export_preferences

    folder = folder_of(out) if out is not None else Path("exports") / f"{Path(dataset).resolve().name}-{to}"
    if to != PREFERENCE:
        if decisions is not None or against is not None:
            flag = "--decisions" if decisions is not None else "--against"
            raise UsageError(f"{flag} does nothing with --to {to}: it is for --to {PREFERENCE}")
        return export_dataset(str(dataset), to, folder, on_progress=on_progress)
    if decisions is None:
        raise UsageError(
            f"--to {PREFERENCE} needs the reviewers' decisions: give their file with --decisions"
        )
    return export_preferences(str(dataset), Path(decisions).expanduser(), folder, against=text_of(against))


def import_(
    path: str | Path,
    from_: str,
    out: str | Path,
    *,
    images: str | Path | None = None,
    on_progress: ProgressCallback | None = None,
) -> "ImportSummary":
    """Make a dataset of what `export` wrote, or of other files in the same format.

    Args:
        path: An export's folder, or a file or folder in the format.
        from_: Format of the files: llava | sharegpt | webdataset | jsonl
        out: New folder for the dataset.
        images: Folder that the images' names are relative to.
        on_progress: called with what is being done, how much of it is done, and of how much.

    Returns:
        What was kept, and what was dropped by reason.

    Raises:
        UsageError: an unknown format, nothing to read, or a folder that exists already.
        LlavaMedError: the files are broken beyond single rows, or no row of them can be taken.
    """
    check_call(import_, locals())
    from llavamed_data.exchange import import_dataset

    if images is not None and from_ == "webdataset":
        raise UsageError("--images does nothing with --from webdataset: tar files hold their own images")
    return import_dataset(
        Path(path).expanduser(), from_, folder_of(out), images=path_of(images), on_progress=on_progress
    )

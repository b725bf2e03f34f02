"""Counts of datasets, against counts made by hand."""

from pathlib import Path

import pyarrow as pa
import pytest

from llavamed_data.dataset.reader import Dataset
from llavamed_data.dataset.schema import arrow_schema
from llavamed_data.errors import LlavaMedError
from llavamed_data.stats import count
from llavamed_data.stats.counts import CardStep, counts_of_card, mean, quantile, spread
from tests.llavamed_data.dataset.test_reader import zeros_over
from tests.llavamed_data.validation.sets import instruct_row, jpeg, sound_set, turn, write_set


def test_counts_of_a_set(tmp_path: Path) -> None:
    shared = {"images": [{"bytes": jpeg(1), "path": "a.jpg"}], "pmcid": "PMC1"}
    rows = [
        instruct_row(0) | shared,
        instruct_row(5) | shared,
        instruct_row(10)
        | {"images": [{"bytes": jpeg(1), "path": "a.jpg"}], "pmcid": "PMC2", "license": "CC0"},
        instruct_row(1) | {"messages": instruct_row(1)["messages"][:2]},
    ]
    stats = count(Dataset(str(write_set(tmp_path / "set", rows))))
    assert (stats.rows, stats.images, stats.pairs, stats.measured) == (4, 3, 7, 4)
    assert stats.images_by_domain == {"chest_xray": 2, "mri": 1}
    assert stats.pairs_by_domain == {"chest_xray": 6, "mri": 1}
    assert stats.rounds == {2: 3, 1: 1}
    assert stats.licenses == {"CC BY": 3, "CC0": 1}
    # "What does the image show?", "Is it a person?"; "A synthetic phantom.", "No, it is noise."
    assert stats.instructions.words == {5: 4, 4: 3}
    assert stats.responses.words == {3: 4, 4: 3}
    assert stats.responses.sentences == {"A synthetic phantom.": 4, "No, it is noise.": 3}
    assert sum(stats.instructions.tokens.values()) in (0, 7)


def test_image_bytes_are_never_read(tmp_path: Path) -> None:
    folder = sound_set(tmp_path / "set", rows=8)
    for shard in (folder / "data").iterdir():
        zeros_over(shard, 0, "images.list.element.bytes")
    assert count(Dataset(str(folder))).images == 8


def test_a_sample_measures_its_own_rows_and_counts_all(tmp_path: Path) -> None:
    dataset = Dataset(str(sound_set(tmp_path / "set", rows=40)))
    stats = count(dataset, sample=10)
    assert (stats.rows, stats.pairs, stats.measured) == (40, 80, 10)
    assert stats.instructions.words.total() == 20
    assert count(dataset, sample=40).measured == count(dataset, sample=99).measured == 40
    texts = [
        instruct_row(number) | {"messages": [turn("user", f"{number}?", image=True), turn("assistant", "A.")]}
        for number in range(40)
    ]
    numbered = Dataset(str(write_set(tmp_path / "numbered", texts)))
    ten, twenty, other = (
        set(count(numbered, sample=size, seed=seed).instructions.sentences)
        for size, seed in ((10, 0), (20, 0), (10, 1))
    )
    assert ten < twenty
    assert ten != other


def test_rows_without_an_id_or_with_nulls_count_too(tmp_path: Path) -> None:
    schema = pa.schema([arrow_schema("instruct").field("messages")])
    rows = [
        {"messages": None},
        {"messages": instruct_row(0)["messages"]},
        {"messages": [turn("user", "Why?")]},
    ]
    dataset = Dataset(str(write_set(tmp_path / "set", rows, schema=schema)))
    stats = count(dataset)
    assert (stats.rows, stats.images, stats.pairs, stats.rounds) == (3, 0, 2, {0: 2, 2: 1})
    assert count(dataset, sample=2).measured == 2


def test_a_set_without_conversations_is_an_error(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", [{"id": "1"}], schema=pa.schema([("id", pa.string())]), shards=1)
    with pytest.raises(LlavaMedError, match="has no column messages"):
        count(Dataset(str(folder)))


@pytest.mark.parametrize("first_column", ["step", "station"])
def test_the_tables_of_a_card_are_read_back(first_column: str) -> None:
    card = f"""# A set

| {first_column} | in | kept | dropped |
| --- | ---: | ---: | --- |
| extract (articles) | 28 | 25 | 2 malformed XML, 1 a \\| b &amp; c |
| converse (figures) | 1,042 | 1,042 | |

| cleaning rule | rounds touched |
| --- | ---: |
| no\\_image\\_claim | 1,204 |

| licence | rows |
"""
    steps, rules = counts_of_card(card)
    assert steps == [
        CardStep("extract (articles)", 28, 25, "2 malformed XML, 1 a | b & c"),
        CardStep("converse (figures)", 1042, 1042, ""),
    ]
    assert rules == {"no_image_claim": 1204}
    assert counts_of_card("no tables") == ([], {})


def test_quantiles_means_and_spreads() -> None:
    lengths = {1: 2, 5: 1, 100: 1}
    assert [quantile(lengths, share) for share in (0.5, 0.51, 0.75, 0.99)] == [1, 5, 5, 100]
    assert mean(lengths) == 26.75
    assert spread(lengths, 1) == [1, 1, 26.8, 100, 100]
    assert (quantile({}, 0.5), mean({}), spread({}, 1)) == (0, 0, [])

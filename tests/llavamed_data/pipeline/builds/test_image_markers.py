"""A text that holds a literal `<image>` costs its own row, never the whole set: at build, from every kind of source."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.llavamed_data.pipeline.builds.test_build import llavamed
from tests.llavamed_data.sources.corpus import article, inventory, lay_out

CAPTION = "Chest radiograph (posteroanterior view). A mass of 5 cm projects over the left upper zone."
MENTION = "A mass was evident in the left upper zone (FIGURE)."


def drawn() -> bytes:
    file = io.BytesIO()
    Image.effect_noise((400, 400), 60).save(file, "JPEG")
    return file.getvalue()


def jats(caption: str, mention: str) -> bytes:
    cited = mention.replace("FIGURE", '<xref ref-type="fig" rid="f1">Figure 1</xref>')
    return (
        '<article xmlns:xlink="http://www.w3.org/1999/xlink"><front><article-meta/></front><body><sec>'
        f"<p>{cited}</p><fig id='f1'><label>Figure 1</label><caption><p>{caption}</p></caption>"
        "<graphic xlink:href='g1'/></fig></sec></body></article>"
    ).encode()


def mirror(folder: Path, texts: Sequence[tuple[str, str]]) -> Path:
    objects: dict[str, bytes] = {}
    for number, (caption, mention) in enumerate(texts, start=9_000_001):
        objects |= article(f"PMC{number}.1", {"g1.jpg": drawn()}, xml=jats(caption, mention))
    return lay_out(objects | inventory(objects), folder)


@pytest.mark.parametrize("recipe", ["alignment-600k", "60k-im"])
def test_a_marker_in_caption_or_mention_drops_that_row_and_the_set_is_sound(
    tmp_path: Path, recipe: str
) -> None:
    texts = [
        (CAPTION, MENTION),
        (CAPTION + " The token &lt;image&gt; is written here.", MENTION),
        (CAPTION, "The token &lt;image&gt; shows a mass of the left upper zone (FIGURE)."),
        (CAPTION + " A token &lt;IMAGE&gt; is none that a tokeniser knows.", MENTION),
        (CAPTION + " word" * 21_000, MENTION),
    ]
    source = mirror(tmp_path / "mirror", texts)
    done = llavamed("build", recipe, "--source", str(source), "--keep-eval-articles", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    converse = next(each for each in json.loads(done.stdout)["stations"] if each["station"] == "converse")
    checked = llavamed("validate", f"llava-med/{recipe}", cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout
    rows = pq.read_table(tmp_path / "llava-med" / recipe / "data").to_pylist()
    said = [part["text"] or "" for row in rows for turn in row["messages"] for part in turn["content"]]
    assert not any("<image>" in text for text in said)
    assert converse["in"] == 5
    assert converse["kept"] == len(rows)
    assert converse["dropped"]["malformed row"] == 1
    if recipe == "alignment-600k":
        assert [row["pmcid"] for row in sorted(rows, key=lambda row: row["pmcid"])] == [
            "PMC9000001",
            "PMC9000003",
            "PMC9000004",
        ]
        assert converse["dropped"]["image marker in text"] == 1
    card = (tmp_path / "llava-med" / recipe / "README.md").read_text()
    assert "no text of it holds a literal `<image>`" in card


def test_released_rows_whose_texts_do_not_fit_are_dropped_one_by_one(tmp_path: Path) -> None:
    answers = {
        "1_F1": "A cyst.",
        "2_F1": "A token <image> here.",
        "3_F1": "x" * 100_001,
        "4_F1": "\u200b",
    }
    (tmp_path / "images").mkdir()
    rows = []
    for name, answer in answers.items():
        (tmp_path / "images" / f"{name}.jpg").write_bytes(drawn())
        turns = [{"from": "human", "value": "What is it?\n<image>"}, {"from": "gpt", "value": answer}]
        rows.append({"id": name, "image": f"{name}.jpg", "domain": {"mri": True}, "conversations": turns})
    (tmp_path / "llava_med_instruct_60k.json").write_text(json.dumps(rows))
    done = llavamed("build", "60k", "--source", "released:.", "--images", "images", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout)["stations"][0]
    assert (read["in"], read["kept"], read["dropped"]) == (4, 1, {"malformed row": 3})
    assert llavamed("validate", "llava-med/60k", cwd=tmp_path).returncode == 0

"""A published dataset can be read with the stock tools."""

import hashlib
import json
from pathlib import Path

import pytest

from tests.llavamed_data.publish.client import Client
from tests.servers.hub import HubProcess

REPO = "med-lab/readers"


@pytest.fixture(scope="module")
def reader(shared_hub: HubProcess, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Client:
    """A user without an account, after a dataset of 12 rows was published as v1.0."""
    shared_hub.faults()
    ada = Client(shared_hub, tmp_path_factory.mktemp("ada"))
    assert ada.publish(dataset, "--repo-id", REPO, "--tag", "v1.0").code == 0
    return Client(shared_hub, tmp_path_factory.mktemp("reader"), account=None)


def test_load_dataset_by_the_line_that_publish_prints(reader: Client) -> None:
    out = reader.python(f"""
        from datasets import load_dataset
        dataset = load_dataset("{REPO}", split="train", revision="v1.0")
        print(len(dataset), dataset[11]["id"], dataset[0]["images"][0].size)
    """)
    assert out.split("\n")[0] == "12 9011_F1 (240, 160)"


def test_streaming(reader: Client) -> None:
    out = reader.python(f"""
        from datasets import load_dataset
        rows = list(load_dataset("{REPO}", split="train", streaming=True))
        print(len(rows), rows[11]["messages"][1]["content"][0]["text"], rows[3]["images"][0].size)
    """)
    assert out.strip() == "12 A synthetic phantom. (240, 160)"


def test_columns_without_images_can_be_streamed(reader: Client) -> None:
    out = reader.python(f"""
        from datasets import load_dataset
        rows = list(load_dataset("{REPO}", split="train", streaming=True, columns=["id", "caption"]))
        print(len(rows), rows[0])
    """)
    assert out.strip() == "12 {'id': '9000_F1', 'caption': 'A phantom made of noise, edition 0.'}"


def test_download_by_xet_and_by_http(reader: Client, dataset: Path) -> None:
    code = f"""
        import hashlib, json
        from pathlib import Path
        from huggingface_hub import snapshot_download
        folder = Path(snapshot_download("{REPO}", repo_type="dataset"))
        print(json.dumps({{p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.glob("data/*")}}))
    """
    wanted = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in dataset.glob("data/*")}
    for xet in (True, False):
        client = Client(reader.hub, reader.home / str(xet), account=None, xet=xet)
        client.home.mkdir()
        assert json.loads(client.python(code)) == wanted


def test_pandas_straight_from_the_hub(reader: Client) -> None:
    out = reader.python(f"""
        import pandas
        frame = pandas.read_parquet("hf://datasets/{REPO}/data")
        print(len(frame), frame["id"].iloc[-1], len(frame["images"].iloc[0]))
    """)
    assert out.strip() == "12 9011_F1 1"


def test_polars_straight_from_the_hub(reader: Client) -> None:
    pytest.importorskip("polars")
    out = reader.python(f"""
        import polars
        folder = "{reader.hub.address}/datasets/{REPO}/resolve/v1.0/data"
        frame = polars.read_parquet(f"{{folder}}/train-00001-of-00002.parquet")
        print(frame["id"].to_list()[-1], frame["domain"].to_list()[-1])
    """)
    assert out.strip() == "9011_F1 mri"


def test_duckdb_over_the_files(reader: Client) -> None:
    pytest.importorskip("duckdb")
    out = reader.python(f"""
        import duckdb
        from huggingface_hub import snapshot_download
        files = snapshot_download("{REPO}", repo_type="dataset") + "/data/*.parquet"
        query = "select license, count(*), min(octet_length(images[1].bytes)) > 1000 from read_parquet(?) group by 1"
        print(duckdb.execute(query, [files]).fetchall())
    """)
    assert out.strip() == "[('CC BY', 12, True)]"

"""The page: one well-formed file that loads nothing, with everything in it that was measured."""

from __future__ import annotations

import base64
import html
import io
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from equiworld import evaluate
from equiworld.metrics import MetricResult
from equiworld.reporting import gather, page, sections

SECTIONS = {
    "scores",
    "explorer",
    "reconstructions",
    "traversals",
    "geodesics",
    "actions",
    "matrices",
    "rollouts",
    "details",
    "latents",
}
VOID = {"meta", "wbr", "img", "input", "br", "link", "hr"}


class Reader(HTMLParser):
    """Follows the nesting of a page, and collects its identifiers, addresses and texts."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self._note(attributes)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._note(attributes)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def _note(self, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name == "id":
                self.ids.append(str(value))
            if name in ("src", "href", "xlink:href", "data", "srcset", "action"):
                self.addresses.append(str(value))


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    return reader


def explorer_data(text: str) -> list[dict[str, Any]]:
    found = re.findall(r'<script type="application/json">(.*?)</script>', text, re.S)
    return [json.loads(each) for each in found]


def test_it_is_well_formed_and_loads_nothing(reported: dict[str, Any]) -> None:
    for each in reported.values():
        reader = read(each.page)
        assert reader.wrong == [] and reader.open == []
        assert len(reader.ids) == len(set(reader.ids))
        assert all(address.startswith(("data:image/png;base64,", "#")) for address in reader.addresses)
        assert {address[1:] for address in reader.addresses if address.startswith("#")} <= set(reader.ids)
        assert not re.search(r"https?:|url\(|@import|<link|<iframe", each.page)
        assert "default-src 'none'" in each.page
        assert len(each.page) < 5_000_000


def test_it_holds_what_it_should(reported: dict[str, Any]) -> None:
    ids = set(read(reported["rgrvae"].page).ids)
    assert ids >= SECTIONS | {"training", "configuration"}
    plain = set(read(reported["vae"].page).ids)
    assert plain & {"actions", "matrices", "rollouts"} == set() and plain >= {"scores", "explorer", "traversals"}
    text = reported["rgrvae"].page
    for said in (
        "rgrvae on flatland, seed 0",
        "mig: mutual information",
        "alignment: confusion",
        "of a turn",
        "gvae_gamma",
    ):
        assert said in text
    assert "loss" in text and html.escape("<") not in re.findall(r"<title>(.*?)</title>", text)[0]
    for version in ("torch", "numpy", "python"):
        assert f'<th scope="row">{version}</th>' in text
    assert "vae has no actions" in reported["vae"].page


def test_every_score_is_in_the_table_of_its_family(reported: dict[str, Any]) -> None:
    text = reported["rgrvae"].page.replace("<wbr/>", "")
    for result in reported["rgrvae"].view.results:
        for name, value in result.values.items():
            row = re.search(rf'<th scope="row">{result.name}\.{name}</th><td>(.*?)</td>', text)
            assert row is not None and row[1] == ("–" if value is None else f"{value:.4g}")
    families = re.findall(r'scope="rowgroup" colspan="\d+">(.*?)<', text)
    assert families == ["symmetry", "rollouts", "information", "reconstruction"]


def test_the_sheets_hold_the_tables(reported: dict[str, Any]) -> None:
    (data,) = explorer_data(reported["rgrvae"].page)
    found = reported["rgrvae"].view.explorer
    for name, table in (("latents", found.latents), ("orbit", found.orbit)):
        shown = data[name]
        assert [tuple(subset) for subset in shown["subsets"]] == table.subsets
        assert [axis["size"] for axis in shown["axes"]] == [axis.size for axis in table.axes]
        sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(shown["sheet"].partition(",")[2]))).convert("L"))
        height, width = shown["height"], shown["width"]
        for row in range(0, len(table.images), 7):
            down, across = divmod(row, shown["columns"])
            picture = sheet[down * height : (down + 1) * height, across * width : (across + 1) * width]
            assert np.abs(picture.astype(int) - table.images[row, :, :, 0]).max() <= 3
    assert [action["name"] for action in data["actions"]] == [name for name, _, _ in found.actions]
    assert len(data["orbit"]["codes"]) == len(found.orbit.images)


def test_a_matrix_that_several_metrics_stand_on_is_shown_once(reported: dict[str, Any]) -> None:
    details = {"mutual_information": [[1.0, 0.0], [0.0, 1.0]]}
    results = [MetricResult(name, {name: 1.0}, details) for name in ("mig", "rmig")]
    results.append(MetricResult("xmig", {"xmig": 1.0}, {"mutual_information": [[1.0, 0.5], [0.0, 1.0]]}))
    text = sections.heat_maps([replace(reported["vae"].view, results=results)])
    assert re.findall(r"<figcaption>(.*?)</figcaption>", text) == [
        "mig, rmig: mutual information",
        "xmig: mutual information",
    ]


def test_several_runs_are_compared(reported: dict[str, Any], tmp_path: Path) -> None:
    places = [Path(shutil.copytree(reported[name].run, tmp_path / name)) for name in ("rgrvae", "vae")]
    assert evaluate.main([*map(str, places), "--metrics=mig reconstruction", "--report"]) == 0
    text = (tmp_path / "report.html").read_text(encoding="utf-8").replace("<wbr/>", "")
    reader = read(text)
    assert reader.wrong == [] and reader.open == [] and len(reader.ids) == len(set(reader.ids))
    assert len(explorer_data(text)) == 2
    values = [json.loads((place / "metrics.json").read_text())["values"]["mig.mig"] for place in places]
    cells = re.search(r'<th scope="row">mig\.mig</th>(.*?)</tr>', text)
    assert cells is not None
    numbers = [float(cell) for cell in re.findall(r"<td>([^<]*)</td>", cells[1])[:4]]
    assert numbers == pytest.approx([np.mean(values), np.std(values, ddof=1), *values], rel=1e-3)
    assert "<mark>model</mark>" in text and "<mark>period</mark>" not in text


def test_runs_with_bounds_show_what_their_codes_cost(reported: dict[str, Any]) -> None:
    views = []
    for label, elbo, told in (("a & b", -10.0, 3.0), ("c", -11.0, 2.0), ("d", -12.0, 2.5)):
        results = [MetricResult("bound", {"elbo": elbo}), MetricResult("information", {"kl_to_prior": told})]
        views.append(replace(reported["vae"].view, label=label, results=results))
    text = page.build(views)
    assert read(text).wrong == [] and "trade-offs" in read(text).ids
    rows = re.findall(r'<th scope="row">([^<]*)</th><td>([^<]*)</td><td>([^<]*)</td><td>(yes|no)</td>', text)
    assert [(row[0], row[3]) for row in rows] == [("a &amp; b", "yes"), ("c", "yes"), ("d", "no")]
    assert "trade-offs" not in read(page.build(views[:1])).ids


def test_a_sheet_that_would_be_too_large_is_made_smaller() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (100, 32, 32, 3), dtype=np.uint8)
    full, columns, step = page.sprite_sheet(noise, 10**9)
    assert (columns, step) == (10, 1)
    small, _, step = page.sprite_sheet(noise, len(full) // 3)
    assert step > 1 and len(small) <= len(full) // 3
    assert Image.open(io.BytesIO(small)).size == (10 * (32 // step), 10 * (32 // step))


def test_names_cannot_break_out_of_the_page(reported: dict[str, Any]) -> None:
    evil = "</script><script>alert(1)</script>"
    view = replace(
        reported["rgrvae"].view,
        label=evil,
        factor_names=[evil, evil],
        config={"model": evil, "seed": evil},
        results=[MetricResult(evil, {evil: 1.0}, {"matrix": [[1.0, 2.0], [3.0, 4.0]]}, reason=evil)],
    )
    view.explorer = replace(view.explorer, actions=[(evil, 0, 1)])
    for text in (page.build([view]), page.build([view, replace(view, label=evil * 2)])):
        assert "alert(1)</script>" not in text
        assert read(text).wrong == []


@pytest.mark.parametrize(
    ("details", "names"),
    [
        ({"a": [[1.0, 2.0], [3.0, None]]}, ["a"]),
        ({"a": [[1.0, 2.0], [3.0]], "b": [1.0, 2.0], "c": "text", "d": [], "e": [[True, False], [True, True]]}, []),
        ({"a": [["x", "y"], ["z", "w"]], "b": {"c": [[1.0, 2.0], [3.0, 4.0]]}, "d": [[1.0, 2.0]]}, []),
        ({"a": np.zeros((60, 60))}, []),
    ],
)
def test_which_details_are_matrices(details: dict[str, Any], names: list[str]) -> None:
    assert list(sections.matrices_of(MetricResult("any", {"a": 1.0}, details))) == names


def test_blocks_are_names_and_no_matrix() -> None:
    details = {"blocks": [[0, 1], [2, 3], [4, 5]], "importance": [[0.9, 0.1], [0.2, 0.8], [0.1, 0.3]]}
    assert list(sections.matrices_of(MetricResult("dci_blocks", {"dci": 1.0}, details))) == ["importance"]


@pytest.mark.parametrize(
    ("metric", "detail", "expected"),
    [
        ("mig", "mutual_information", ("z", "f")),
        ("infomec", "nmi", ("f", "z")),
        ("factor_vae", "votes", ("f", "z")),
        ("z_min_var", "votes_test", ("f", "z")),
        ("fairness", "mean", ("f", "f")),
        ("unsupervised", "covariance", ("z", "z")),
        ("unsupervised", "mutual_information", ("z", "z")),
        ("udr", "pairs", ("0", "0")),
        ("alignment", "confusion", ("true", "learnt")),
        ("foreign", "matrix", ("0", "0")),
    ],
)
def test_axes_are_named_by_what_they_are_and_not_by_their_size(
    reported: dict[str, Any], metric: str, detail: str, expected: tuple[str, str]
) -> None:
    view = replace(
        reported["rgrvae"].view,
        codes=np.zeros((9, 4)),
        factor_names=list("abcd"),
        true_actions=list("pqrs"),
        results=[],
    )
    view.maps = [view.maps[0]] * 4
    names = {
        "z": ["z0", "z1", "z2", "z3"],
        "f": list("abcd"),
        "true": list("pqrs"),
        "learnt": [f"learnt {number}" for number in range(4)],
        "0": list("0123"),
    }
    assert sections.axis_names(view, metric, detail, (4, 4)) == (names[expected[0]], names[expected[1]])
    assert sections.axis_names(view, metric, detail, (3, 3)) == (list("012"), list("012"))


def test_blocks_are_planes_where_the_coordinates_were_turned(reported: dict[str, Any]) -> None:
    codes = np.random.default_rng(0).normal(size=(40, 5))
    blocks = [[0, 1], [2, 3], [4]]
    found = [MetricResult("mig_blocks", {"mig": 1.0}, {"blocks": blocks})]
    plain = replace(
        reported["rgrvae"].view, codes=codes, blocks=blocks, results=found, factors=np.arange(80).reshape(40, 2) % 7
    )
    plain.block_codes = None
    turned = replace(plain, block_codes=codes[:, ::-1])
    columns = plain.factor_names
    said = [sections.axis_names(view, "mig_blocks", "mutual_information", (3, 2)) for view in (plain, turned)]
    assert said == [(["z0,1", "z2,3", "z4"], columns), (["plane 0", "plane 1", "block 2"], columns)]
    assert sections.latent_pairs(plain) == sections.latent_pairs(turned) == [(0, 1), (2, 3)]
    assert "latents 2 and 3 by" in sections.scatters([plain])
    assert "plane 1 by" in sections.scatters([turned])
    odd = replace(plain, blocks=[[0, 3], [1], [2, 4]])
    assert sections.latent_pairs(odd) == [(0, 3), (2, 4)]
    lone = replace(plain, blocks=[[0, 1, 2], [3], [4]], block_codes=codes[:, ::-1])
    assert "latents" in sections.scatters([lone])


def test_predictors_missing_references_and_far_scores_are_said(reported: dict[str, Any]) -> None:
    far = MetricResult("mig", {"mig": -300.0}, chance={"mig": 0.0}, ceiling={"mig": 1.0}, predictor="binned")
    view = replace(reported["vae"].view, results=[far, MetricResult("dci", {"dci": 0.5}, predictor="<trees>")])
    text = sections.summary([view])
    assert '<td class="predictor">binned</td>' in text and '<td class="predictor">&lt;trees&gt;</td>' in text
    assert "ceiling of dci take long, and were left out: --reference computes them" in text
    assert 'title="beyond -1000%"' in text and "30000" not in text.replace("-300", "")
    assert '<th scope="col" class="bar"><span title=' in text


def test_damaged_files_are_said_in_their_place(reported: dict[str, Any], tmp_path: Path) -> None:
    each = reported["vae"]
    (tmp_path / "environment.json").write_text("{")
    (tmp_path / "events.out.tfevents.1.x").write_bytes(bytes(range(250)) * 4)
    view = gather.view_of_run("run", tmp_path, each.subject, [], 0.1, {})
    text = page.build([view])
    assert "run: environment.json cannot be read: " in text
    assert "run: events.out.tfevents.1.x is damaged: it does not begin with an event" in text
    assert read(text).wrong == []
    (tmp_path / "environment.json").write_text("[]")
    assert (
        "it holds no mapping" in gather.view_of_run("run", tmp_path, each.subject, [], 0.1, {}).damaged["configuration"]
    )

"""The parts of the page that tell numbers: scores, matrices, latents, rollouts, training, configuration."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from ..metrics import MetricResult, mutual_information
from . import charts
from .gather import Map, View
from .measures import BLOCKS
from .scores import UNREFERENCED, Score, number_text, scores, slow_without_reference
from .subject import Array
from .trade_offs import on_a_front

_LARGEST = 48  # a matrix with more rows or columns is not drawn
_NO_MATRIX = {"blocks"}  # lists of code dimensions, which name the rows of others
_BY_LATENT = ("latents", "factors")
_AXES = {
    "mutual_information": _BY_LATENT,
    "importance": _BY_LATENT,
    "score_matrix": _BY_LATENT,
    "r2_matrix": _BY_LATENT,
    "irs_matrix": _BY_LATENT,
    "pearson": _BY_LATENT,
    "spearman": _BY_LATENT,
}
"""What the rows and columns of a matrix are, by the name of the detail."""
_AXES_OF = {
    ("alignment", "confusion"): ("true", "learnt"),
    ("group_errors", "commutator"): ("true", "true"),
    ("unsupervised", "covariance"): ("latents", "latents"),
    ("unsupervised", "mutual_information"): ("latents", "latents"),
    ("infomec", "nmi"): ("factors", "latents"),
    ("factor_vae", "votes"): ("factors", "latents"),
    ("factor_vae", "votes_test"): ("factors", "latents"),
    ("z_min_var", "votes"): ("factors", "latents"),
    ("z_min_var", "votes_test"): ("factors", "latents"),
    ("z_max_var", "votes"): ("factors", "latents"),
    ("z_max_var", "votes_test"): ("factors", "latents"),
    ("fairness", "mean"): ("factors", "factors"),
    ("fairness", "largest"): ("factors", "factors"),
    ("fairness_hist", "mean"): ("factors", "factors"),
    ("fairness_hist", "largest"): ("factors", "factors"),
    ("udr", "pairs"): ("runs", "runs"),
}
"""The same for one metric alone, which goes before."""
_FAR = 10  # distances from chance to ceiling beyond which the percentage says nothing more
_POINTS = 600  # in a scatter
_BAR = ' class="bar"'


def table(header: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "") -> str:
    """A table of cells that are HTML already; the first cell of a row is its heading."""
    head = "".join(f'<th scope="col">{cell}</th>' for cell in header)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>' + "".join(f"<td>{cell}</td>" for cell in row[1:]) + "</tr>" for row in rows
    )
    shape = f' class="{kind}"' if kind else ""
    return f'<div class="scroll"><table{shape}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def each_run(views: Sequence[View], parts: Sequence[str]) -> str:
    """One part a run, beside each other where there is room, under their labels where there are several."""
    if len(views) == 1:
        return parts[0]
    pieces = [
        f"<article><h3>{escape(view.label)}</h3>{part}</article>"
        for view, part in zip(views, parts, strict=True)
        if part
    ]
    return f'<div class="runs">{"".join(pieces)}</div>' if pieces else ""


def summary(views: Sequence[View]) -> str:
    """Scores by family, with chance, ceiling, sample size, and where between chance and ceiling they lie."""
    found = scores({view.label: view.results for view in views})
    several = len(views) > 1
    own = ["mean", "±", *(escape(view.label) for view in views)] if several else ["score"]
    header = ["metric", *own, "chance", "ceiling", '<span title="0: chance, 1: ceiling">chance to ceiling</span>', "N"]
    told = any(score.predictor for score in found)
    header += ["predictor"] * told
    rows = []
    for family, members in itertools.groupby(found, key=lambda score: score.family):
        rows.append(f'<tr class="family"><th scope="rowgroup" colspan="{len(header)}">{escape(family)}</th></tr>')
        for score in members:
            numbers = [score.mean, score.std, *score.runs.values()] if several else list(score.runs.values())
            cells = [number_text(value) for value in [*numbers, score.chance, score.ceiling]]
            cells = [f"<td>{'–' if cell == '-' else cell}</td>" for cell in cells]
            cells.append(f'<td class="bar">{_meter(score)}</td>')
            cells.append(f"<td>{score.rows.replace('-', '–')}</td>")
            if told:
                cells.append(f'<td class="predictor">{escape(score.predictor) or "–"}</td>')
            kind = ' class="main"' if score.main else ""
            rows.append(f'<tr{kind}><th scope="row">{_breakable(score.name)}</th>{"".join(cells)}</tr>')
    bar = len(header) - 2 - told
    head = "".join(f'<th scope="col"{_BAR if place == bar else ""}>{cell}</th>' for place, cell in enumerate(header))
    body = f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return f'<div class="scroll"><table class="scores">{body}</table></div>{_bare(found)}{_reasons(views)}'


def _bare(found: Sequence[Score]) -> str:
    """Says how chance and ceiling of slow metrics are got."""
    slow = slow_without_reference(found)
    if not slow:
        return ""
    return f'<p class="note">{escape(UNREFERENCED.format(", ".join(slow)))}</p>'


def _breakable(name: str) -> str:
    """A name that may go over two lines where its parts meet."""
    return escape(name).replace(".", ".<wbr/>").replace("_", "_<wbr/>")


def _meter(score: Score) -> str:
    """A bar from chance to ceiling."""
    if score.mean is None or score.chance is None or score.ceiling is None or score.ceiling == score.chance:
        return ""
    share = (score.mean - score.chance) / (score.ceiling - score.chance)
    width = 100 * min(max(share, 0.0), 1.0)
    text = f"{share:.0%}" if abs(share) < _FAR else f"beyond {'-' if share < 0 else ''}{_FAR:.0%}"
    said = f'role="img" aria-label="{text}" title="{text}"'
    return f'<span class="meter" {said}><i style="width:{width:.0f}%"></i></span>'


def _reasons(views: Sequence[View]) -> str:
    lines: dict[tuple[str, str], list[str]] = {}
    for view in views:
        for result in view.results:
            if result.reason is not None:
                lines.setdefault((result.name, result.reason), []).append(view.label)
    if not lines:
        return ""
    items = []
    for (name, reason), labels in lines.items():
        where = "" if len(labels) == len(views) else f" ({escape(', '.join(labels))})"
        items.append(f"<li><b>{escape(name)}</b>{where}: {escape(reason)}</li>")
    return f"<details open><summary>What is missing, or not to be trusted</summary><ul>{''.join(items)}</ul></details>"


def matrices_of(result: MetricResult) -> dict[str, Array]:
    """The matrices among a result's details, by name; the missing numbers in them are NaN."""
    found = {}
    for name, value in result.details.items():
        if name in _NO_MATRIX or not (
            isinstance(value, list) and value and all(isinstance(row, list) and row for row in value)
        ):
            continue
        cells = [cell for row in value for cell in row]
        whole = len({len(row) for row in value}) == 1 and len(cells) > max(len(value), len(value[0]))
        plain = all(cell is None or (isinstance(cell, int | float) and not isinstance(cell, bool)) for cell in cells)
        if whole and plain and max(len(value), len(value[0])) <= _LARGEST:
            found[name] = np.array([[np.nan if cell is None else cell for cell in row] for row in value], dtype=float)
    return found


def axis_names(view: View, metric: str, detail: str, shape: tuple[int, int]) -> tuple[list[str], list[str]]:
    """What the rows and columns of a metric's matrix are; numbers where that is not known, or does not fit."""
    plain = metric.removesuffix(BLOCKS)
    kinds = _AXES_OF.get((plain, detail)) or _AXES.get(detail, ("", ""))
    partners = view.detail(metric, "partners")
    known = {
        "latents": _latents(view, metric),
        "factors": view.factor_names,
        "true": view.true_actions,
        "learnt": [f"learnt {number}" for number in range(len(view.maps))],
        "runs": [str(each) for each in partners] if isinstance(partners, list) else [],
    }
    sides = []
    for kind, size in zip(kinds, shape, strict=True):
        names = known.get(kind, [])
        sides.append(names if len(names) == size else [str(number) for number in range(size)])
    return sides[0], sides[1]


def _latents(view: View, metric: str) -> list[str]:
    """What a metric's matrix has for the code: each latent, or each block of them."""
    blocks = view.detail(metric, "blocks")
    if not (isinstance(blocks, list) and all(isinstance(block, list) for block in blocks)):
        return [f"z{latent}" for latent in range(view.codes.shape[1])]
    if metric.endswith(BLOCKS) and view.rotated:
        return [f"{'plane' if len(block) == 2 else 'block'} {number}" for number, block in enumerate(blocks)]
    return ["z" + ",".join(map(str, block)) for block in blocks]


def heat_maps(views: Sequence[View]) -> str:
    """Every matrix that is behind a score."""
    parts = []
    for view in views:
        # Several metrics may stand on one matrix, which is shown once.
        found: dict[tuple[str, bytes, str], tuple[list[str], Array, tuple[list[str], list[str]]]] = {}
        for result in view.results:
            for name, matrix in matrices_of(result).items():
                names = axis_names(view, result.name, name, (matrix.shape[0], matrix.shape[1]))
                found.setdefault((name, matrix.tobytes(), repr(names)), ([], matrix, names))[0].append(result.name)
        cards = []
        for (name, _, _), (metrics, matrix, names) in found.items():
            label = f"{', '.join(metrics)}: {name.replace('_', ' ')}"
            drawn = charts.heat_map(matrix, *names, label)
            cards.append(f'<figure class="fit"><figcaption>{escape(label)}</figcaption>{drawn}</figure>')
        parts.append(f'<div class="cards">{"".join(cards)}</div>' if cards else "")
    return each_run(views, parts) if any(parts) else ""


def latent_pairs(view: View, most: int = 3) -> list[tuple[int, int]]:
    """Pairs of columns worth looking at: the planes that the learnt actions turn, else the most informative ones.

    With blocks these are columns of the codes in the coordinates of the blocks.
    """
    if view.blocks is not None:
        planes = [(block[0], block[1]) for block in view.blocks if len(block) == 2]
        if planes:
            return planes[:most]
    if view.codes.shape[1] < 2 or not view.factors.shape[1]:
        return []
    binned = np.stack([np.digitize(column, np.histogram_bin_edges(column, 20)[:-1]) for column in view.codes.T], axis=1)
    levels = np.stack([np.unique(column, return_inverse=True)[1].reshape(-1) for column in view.factors.T], axis=1)
    information = mutual_information(binned, levels)
    pairs = [tuple(sorted(np.argsort(-column, kind="stable")[:2].tolist())) for column in information.T]
    return [(first, second) for first, second in dict.fromkeys(pairs)][:most]


def scatters(views: Sequence[View]) -> str:
    """Latents against each other, coloured by each factor."""
    parts = []
    for view in views:
        chosen = np.random.default_rng(0).permutation(len(view.codes))[:_POINTS]
        pairs, rows = latent_pairs(view), []
        planes = view.rotated and view.blocks is not None and [*pairs[0]] in view.blocks if pairs else False
        codes = (view.block_codes if planes and view.block_codes is not None else view.codes)[chosen]
        for column, name in enumerate(view.factor_names[:8] if pairs else []):
            shade = view.factors[chosen, column]
            if len(np.unique(shade)) < 2:
                continue
            drawn = ""
            for a, b in pairs:
                said, sides = f"latents {a} and {b}", (f"z{a}", f"z{b}")
                if planes and view.blocks is not None:
                    number = view.blocks.index([a, b])
                    said, sides = f"plane {number}", (f"plane {number}, first", f"plane {number}, second")
                shown = f"{said} by {name}"
                drawn += charts.scatter(codes[:, a], codes[:, b], shade, shown, sides, view.cyclic[column])
            ramp = charts.colour_key(shade, view.cyclic[column])
            rows.append(f"<figure><figcaption>by {escape(name)} {ramp}</figcaption>{drawn}</figure>")
        parts.append(f'<div class="cards">{"".join(rows)}</div>' if rows else "")
    return each_run(views, parts) if any(parts) else ""


def learnt_maps(views: Sequence[View]) -> str:
    """Each learnt matrix, with its angles and the nearest orders."""
    parts = []
    for view in views:
        cards = []
        for each in view.maps:
            names = [f"z{latent}" for latent in range(len(each.matrix))]
            drawn = charts.heat_map(each.matrix, names, names, f"matrix of {each.name}")
            cards.append(
                f'<figure class="fit"><figcaption>{escape(each.name)}</figcaption>{drawn}{_turns(each)}</figure>'
            )
        parts.append(f'<div class="cards">{"".join(cards)}</div>' if cards else "")
    return each_run(views, parts) if any(parts) else ""


def _turns(each: Map) -> str:
    """Angles in words: the nearest fraction of a turn of each, and how well the largest closes."""
    lines = [
        f"<li>{angle:.4f} rad, {f'nearest to {abs(k)}/{n} of a turn' if n > 1 else 'at rest'}</li>"
        for angle, (k, n) in zip(each.angles, each.orders, strict=True)
    ]
    order = each.orders[0][1]
    return f'<ul class="plain">{"".join(lines)}<li>{order} times: off by {each.closes:.2g}</li></ul>'


def rollouts(views: Sequence[View]) -> str:
    """How predictions hold up with the number of actions ahead."""
    kinds = [
        ("within", "share of frames with the object in place", 0.0, 1.0),
        ("centre", "mean distance of the object, pixels", 0.0, None),
        ("mse", "mean squared error of pixels", 0.0, None),
    ]
    cards = []
    for name, label, low, high in kinds:
        series = []
        for view in views:
            steps, values = view.detail("prediction", "horizons"), view.detail("prediction", name)
            if not steps or not values:
                continue
            known = [(step, value) for step, value in zip(steps, values, strict=True) if value is not None]
            series.append((view.label, [step for step, _ in known], [value for _, value in known]))
        if drawn := charts.lines(series, label, "actions ahead", low, high):
            cards.append(f"<figure><figcaption>{escape(label)}</figcaption>{drawn}</figure>")
    return f'<div class="cards">{"".join(cards)}</div>' if cards else ""


def trade_offs(views: Sequence[View]) -> str:
    """Consistency with the data against information in the codes, of the runs that have both.

    The mean divergence from the prior is shown, which is above the information by that of all codes together: the lower
    bound ends at the logarithm of the number of images.
    """
    points = []
    for view in views:
        found = {result.name: result.values for result in view.results}
        bound, told = found.get("bound", {}).get("elbo"), found.get("information", {}).get("kl_to_prior")
        if bound is not None and told is not None:
            points.append((view.label, -bound, told))
    if len(points) < 2:
        return ""
    labels, costs, gains = zip(*points, strict=True)
    best = on_a_front(costs, gains)
    drawn = charts.scatter(
        costs, gains, best, "Information against consistency", ("negative ELBO", "divergence from the prior")
    )
    rows = [
        [escape(label), number_text(cost), number_text(gain), "yes" if front else "no"]
        for label, cost, gain, front in zip(labels, costs, gains, best, strict=True)
    ]
    listed = table(["run", "negative ELBO (nats)", "divergence from the prior (nats)", "on a front"], rows)
    return f'<div class="cards"><figure class="fit">{drawn}</figure></div>{listed}'


def training(views: Sequence[View], across: str = "epoch") -> str:
    """Training curves: the terms of the loss first, the rest folded away.

    Args:
        views: Of the runs.
        across: What they run over.
    """
    tags = list(dict.fromkeys(tag for view in views for tag in view.curves))
    terms = dict.fromkeys(tag.partition("/")[2] for tag in tags if tag.split("/")[0] in ("train", "valid"))
    first = sorted(terms, key=lambda term: (term != "loss", list(terms).index(term)))
    charts_of = [(term, [f"train/{term}", f"valid/{term}"]) for term in first]
    rest: dict[str, list[str]] = {}
    for tag in tags:
        if tag.split("/")[0] not in ("train", "valid"):
            rest.setdefault(tag.rstrip("0123456789").rstrip("_"), []).append(tag)
    shown = _curves(views, charts_of, across)
    more = _curves(views, list(rest.items()), across)
    folded = f'<details><summary>More curves ({len(rest)})</summary><div class="cards">{more}</div></details>'
    return (f'<div class="cards">{shown}</div>' if shown else "") + (folded if more else "")


def _curves(views: Sequence[View], wanted: Sequence[tuple[str, list[str]]], across: str) -> str:
    cards = []
    for title, tags in wanted:
        series = []
        for view in views:
            for tag in tags:
                if tag not in view.curves:
                    continue
                inner = tag.removeprefix(title).strip("_/") if tag != title and title in tag else ""
                inner = tag.split("/")[0] if tag.split("/")[0] in ("train", "valid") else inner
                name = " ".join(part for part in (view.label if len(views) > 1 else "", inner) if part) or tag
                series.append((name, *view.curves[tag]))
        if drawn := charts.lines(series, title, across):
            cards.append(f"<figure><figcaption>{escape(title)}</figcaption>{drawn}</figure>")
    return "".join(cards)


def damaged(views: Sequence[View], section: str) -> str:
    """A line for each run of which a file behind the section cannot be read."""
    said = [f"{view.label}: {view.damaged[section]}" for view in views if section in view.damaged]
    return "".join(f'<p class="note">{escape(line)}</p>' for line in said)


def configuration(views: Sequence[View]) -> str:
    """Options and versions of each run; where runs differ stands first."""
    blocks = []
    for title, pick in (("Options", _options), ("Versions, seed and device", _environment)):
        tables = [pick(view) for view in views]
        names = list(dict.fromkeys(name for options in tables for name in options))
        if not names:
            continue
        rows = [[name, *(options.get(name, "–") for options in tables)] for name in names]
        differing = [row for row in rows if len(set(row[1:])) > 1]
        order = [*differing, *(row for row in rows if row not in differing)]
        header = ["", *(view.label for view in views)] if len(views) > 1 else ["", "value"]
        marked = [f"<mark>{escape(row[0])}</mark>" if row in differing else escape(row[0]) for row in order]
        cells = [[name, *map(escape, row[1:])] for name, row in zip(marked, order, strict=True)]
        shape = "" if title == "Options" else " open"
        blocks.append(
            f"<details{shape}><summary>{title}</summary>{table([*map(escape, header)], cells, 'options')}</details>"
        )
    return "".join(blocks)


def _options(view: View) -> dict[str, str]:
    return {name: _plain(value) for name, value in view.config.items()}


def _environment(view: View) -> dict[str, str]:
    flat: dict[str, Any] = {}
    for name, value in view.environment.items():
        flat |= value if isinstance(value, dict) else {name: value}
    return {name: _plain(value) for name, value in flat.items()}


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)

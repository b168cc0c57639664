"""The page: one file that opens from disk, with its style, its script and its pictures inside."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files

import numpy as np

from .. import __version__
from . import sections
from .explorer import Explorer, Table
from .figures import Pixels, Strips, data_uri, png, sheet
from .gather import View

_COLOURS = 64
_CAPTIONS = {
    "reconstructions": ("Reconstructions", "Held-out states above, what the model decodes from their codes below."),
    "traversals": ("Traversals", "One latent moved over its range, the others as in the first reconstruction."),
    "geodesics": (
        "Geodesics",
        "The shortest way between the codes of two held-out states, in the latent space's geometry.",
    ),
    "actions": ("Actions", "Each learnt action taken again and again, decoded from the code alone."),
}
_SCORES = "What was measured, and what knowing nothing and a perfect code would score."
_MATRICES = "What each learnt action does to a code, the angles of its planes, and the nearest orders."
_ROLLOUTS = "Predictions from codes alone, against the number of actions ahead."
_TRADE_OFFS = (
    "Held-out images: the bound on their likelihood, and what codes tell of them. No run beats one on a front."
)
_DETAILS = "Rows, columns and numbers as the metrics saw them."
_LATENTS = "Codes of states, coloured by what the states are."
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def build(views: Sequence[View]) -> str:
    """The page of some runs, or of one file of codes, as HTML.

    Args:
        views: What was gathered of each.
    """
    parts = [
        ("scores", "Scores", _SCORES, sections.summary(views)),
        ("explorer", "Latent explorer", "", explorers(views)),
        *((name, *said, strip_rows(views, name)) for name, said in _CAPTIONS.items()),
        ("matrices", "Learnt matrices", _MATRICES, sections.learnt_maps(views)),
        ("rollouts", "Rollouts", _ROLLOUTS, sections.rollouts(views)),
        ("trade-offs", "Information and consistency", _TRADE_OFFS, sections.trade_offs(views)),
        ("details", "Matrices behind the scores", _DETAILS, sections.heat_maps(views)),
        ("latents", "Latents by factor", _LATENTS, sections.scatters(views)),
        ("training", "Training", "", sections.damaged(views, "training") + sections.training(views)),
        (
            "configuration",
            "Configuration",
            "",
            sections.damaged(views, "configuration") + sections.configuration(views),
        ),
    ]
    return document(_title(views), _subtitle(views), parts)


def document(title: str, subtitle: str, parts: Sequence[tuple[str, str, str, str]]) -> str:
    """A whole page.

    Args:
        title: Its title, as text.
        subtitle: What stands below it, as HTML.
        parts: Sections: anchor, title, what is said of it, and its HTML; those without any are left out.
    """
    kept = [part for part in parts if part[3]]
    links = "".join(f'<a href="#{name}">{escape(title)}</a>' for name, title, _, _ in kept)
    body = "".join(
        f'<section id="{name}"><h2>{escape(title)}</h2>{f"<p>{escape(said)}</p>" if said else ""}{inner}</section>'
        for name, title, said, inner in kept
    )
    style, script = (_resource(name) for name in ("page.css", "page.js"))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"/>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
        '<meta name="color-scheme" content="light dark"/>'
        f"<title>{escape(title)}: Equiworld report</title><style>{style}</style></head>"
        f"<body><header><h1>{escape(title)}</h1>{subtitle}<nav>{links}</nav></header><main>{body}</main>"
        f"<script>{script}</script></body></html>\n"
    )


def _resource(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _title(views: Sequence[View]) -> str:
    """What the page is about: the model where all runs are of one, else the runs."""
    kinds = {(view.config.get("model"), view.config.get("dataset")) for view in views}
    model, data = kinds.pop()
    if kinds or model is None:
        return ", ".join(view.label for view in views[:4]) + (", …" if len(views) > 4 else "")
    return f"{model} on {data}" + (
        f", {len(views)} runs" if len(views) > 1 else f", seed {views[0].config.get('seed')}"
    )


def _subtitle(views: Sequence[View]) -> str:
    facts = []
    for view in views[:24]:
        known = [(key, view.config.get(key)) for key in ("model", "dataset", "seed")]
        said = ", ".join(f"{key} {value}" for key, value in known if value is not None)
        size = f"{len(view.codes):,} codes of {view.codes.shape[1]} dimensions, {len(view.factor_names)} factors"
        facts.append(f"<li><b>{escape(view.label)}</b> {escape(said or size)}</li>")
    return f'<ul class="facts">{"".join(facts)}<li>measured with equiworld {escape(__version__)}</li></ul>'


def strip_rows(views: Sequence[View], name: str) -> str:
    """Rows of pictures, each a picture of its own, with its name."""
    parts = [_strip(view.strips[name], name) if name in view.strips else "" for view in views]
    return sections.each_run(views, parts) if any(parts) else ""


def _strip(strip: Strips, name: str) -> str:
    rows = []
    for title, pictures in zip(strip.names, strip.rows, strict=True):
        picture = sheet([pictures[:16]])
        source = data_uri(png(picture, _COLOURS))
        size = f'width="{picture.shape[1]}" height="{picture.shape[0]}"'
        alternative = f"{name}: {title}, {len(pictures[:16])} pictures from left to right"
        more = f" <small>(first 16 of {len(pictures)})</small>" if len(pictures) > 16 else ""
        rows.append(
            f'<figure class="row"><figcaption>{escape(title)}{more}</figcaption><div class="scroll">'
            f'<img src="{source}" {size} alt="{escape(alternative)}"/></div></figure>'
        )
    return f'<div class="strip">{"".join(rows)}</div>'


def explorers(views: Sequence[View], most: int = 3_000_000) -> str:
    """An explorer for each run that has pictures, all of them within ``most`` bytes as they stand in the page."""
    shown = [view for view in views if view.explorer is not None]
    parts = []
    for number, view in enumerate(views):
        if view.explorer is not None:
            parts.append(explorer_html(view.explorer, f"explorer-{number}", most // len(shown)))
        else:
            parts.append("")
    return sections.each_run(views, parts) if shown else ""


def sprite_sheet(images: Pixels, most: int) -> tuple[bytes, int, int]:
    """Pictures as one PNG of at most about ``most`` bytes: smaller or in fewer colours where they would take more.

    Returns:
        The PNG, how many pictures are in a row of it, and by how much each side was divided.
    """
    columns = int(np.ceil(np.sqrt(len(images))))
    for step, colours in ((1, _COLOURS), (1, 24), (2, 32), (3, 24), (4, 16)):
        small = _shrunk(images, step)
        height, width, channels = small.shape[1:]
        padded = np.zeros((columns * -(-len(small) // columns), height, width, channels), dtype=np.uint8)
        padded[: len(small)] = small
        grid = padded.reshape(-1, columns, height, width, channels).swapaxes(1, 2)
        content = png(np.ascontiguousarray(grid.reshape(-1, columns * width, channels)), colours)
        if len(content) <= most:
            break
    return content, columns, step


def _shrunk(images: Pixels, step: int) -> Pixels:
    """Pictures with every ``step`` x ``step`` pixels as their mean; what does not fill a square is cut off."""
    if step == 1:
        return images
    count, height, width, channels = images.shape
    cut = images[:, : height // step * step, : width // step * step]
    squares = cut.reshape(count, height // step, step, width // step, step, channels)
    return squares.mean((2, 4)).round().astype(np.uint8)


def _table_data(table: Table, most: int) -> dict[str, object]:
    content, columns, step = sprite_sheet(table.images, most)
    return {
        "axes": [
            {"name": axis.name, "size": axis.size, "base": axis.base, "cyclic": axis.cyclic} for axis in table.axes
        ],
        "subsets": table.subsets,
        "arity": table.arity,
        "columns": columns,
        "width": table.images.shape[2] // step,
        "height": table.images.shape[1] // step,
        "sheet": data_uri(content),
    }


def explorer_html(explorer: Explorer, name: str, most: int) -> str:
    """Sliders, buttons and their pictures; base64 makes four bytes of three."""
    tables = 1 if explorer.orbit is None else 2
    room = int(most * 0.75 / tables)
    data: dict[str, object] = {
        "latents": _table_data(explorer.latents, room)
        | {"values": [[round(float(value), 4) for value in row] for row in explorer.values]}
    }
    if explorer.orbit is not None:
        codes = explorer.orbit.codes.round(3).astype(float).tolist()
        data["orbit"] = _table_data(explorer.orbit, room) | {"codes": codes}
        data["actions"] = [{"name": each, "axis": axis, "step": step} for each, axis, step in explorer.actions]
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    sliders = "".join(_slider(name, number, axis.size, axis.base) for number, axis in enumerate(explorer.latents.axes))
    buttons = "".join(
        f'<button type="button" data-action="{number}">{escape(each)}</button>'
        for number, (each, _, _) in enumerate(explorer.actions)
    )
    keys = f'<div class="actions" role="group" aria-label="learnt actions">{buttons}</div>' if buttons else ""
    height, width = explorer.latents.images.shape[1:3]
    return (
        f'<div class="explorer" id="{name}"><canvas width="{width}" height="{height}" role="img" '
        f'aria-label="decoded picture"></canvas><div class="controls">{sliders}{keys}'
        '<div class="actions"><button type="button" class="quiet" data-reset="1">back to the start</button></div>'
        f'<p class="state" aria-live="polite"></p><p class="note">{escape(_note(explorer))}</p>'
        "<noscript><p>The explorer needs JavaScript; everything else on this page does not.</p></noscript></div>"
        f'<script type="application/json">{text}</script></div>'
    )


def _slider(name: str, number: int, size: int, base: int) -> str:
    identity = f"{name}-{number}"
    span = f'min="0" max="{size - 1}" step="1" value="{base}"'
    return (
        f'<label for="{identity}"><span>z{number}</span>'
        f'<input type="range" id="{identity}" data-latent="{number}" {span}/><output for="{identity}"></output></label>'
    )


def _note(explorer: Explorer) -> str:
    """What the pictures cover."""
    latents, orbit = explorer.latents, explorer.orbit
    said = f"Decoded beforehand: {len(latents.images):,} pictures, {latents.axes[0].size} values a latent"
    if latents.arity < len(latents.axes):
        said += f"; at most {latents.arity} away from the start at once, the one moved longest ago goes back"
    if orbit is None:
        return said + "."
    said += f"; {len(orbit.images):,} of the actions"
    if orbit.arity < len(orbit.axes):
        said += f", at most {orbit.arity} of {len(orbit.axes)} circles away from the start at once"
    return said + ". An action goes on from the nearest of these, a slider from the nearest on its grid."

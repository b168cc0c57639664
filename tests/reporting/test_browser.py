"""The explorer in a browser, where one is installed: sliders move the picture, an action's order brings it back."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def dump(url: str, profile: Path) -> str:
    """The page as it stands after its script has run."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--virtual-time-budget=30000"]
    done = subprocess.run(
        [str(BROWSER), *flags, f"--user-data-dir={profile}", "--dump-dom", url],
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    return done.stdout


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed (Debian: apt-get install chromium)")
@pytest.mark.parametrize("name", ["rgrvae", "vae"])
def test_the_explorer_does_what_a_visitor_expects(reported: dict[str, Any], name: str, tmp_path: Path) -> None:
    report = reported[name].run / "report.html"
    text = dump(f"{report.as_uri()}#explorer-selftest", tmp_path / "profile")
    told = re.search(r'data-selftest="([^"]*)"', text)
    assert told is not None, "the page's script has not come to its end"
    (found,) = json.loads(html.unescape(told[1]))
    explorer = reported[name].view.explorer
    assert len(found["sliders"]) == len(explorer.latents.axes)
    for slider, axis in zip(found["sliders"], explorer.latents.axes, strict=True):
        assert slider["positions"] == axis.size and slider["back"]
        # An untrained decoder hardly tells codes apart; some of them it must.
        assert slider["pictures"] > 1
    assert len(found["actions"]) == len(explorer.actions)
    for action, (_, axis, step) in zip(found["actions"], explorer.actions, strict=True):
        circle = explorer.orbit.axes[axis]
        # On a line an action can be taken until its end; on a circle as often as its order says, and is then back.
        presses = circle.size if circle.cyclic else circle.size - 1 - circle.base
        assert (action["size"], action["step"], action["presses"]) == (circle.size, step, presses)
        assert action["back"] == circle.cyclic and 1 < action["different"] <= circle.size
    assert not explorer.actions or any(action["cyclic"] for action in found["actions"])
    assert found["undone"]

"""The commands in the documentation: each is read as the program reads it, as far as can be told without its data."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from equiworld.agents.dream import DREAM, check_dream_options
from equiworld.agents.options import read_agent_request
from equiworld.agents.training import make_envs
from equiworld.datasets.rollouts.command_line import key_values
from equiworld.world_models.command_line import HelpAsked, names_agent, read_request

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
ABSENT = ("--plugin", "--resume", ".h5", "folder:", "--dataset=mnist")  # of what a reader makes or brings


def commands() -> list[str]:
    """Those of ``train.py`` in blocks of bash."""
    found: dict[str, None] = {}
    for page in PAGES:
        for block in re.findall(r"^```bash\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S):
            for line in block.replace("\\\n", " ").splitlines():
                if (match := re.search(r"python train\.py (.*)", line)) and not any(part in line for part in ABSENT):
                    found[match[1].strip()] = None
    return list(found)


def test_there_are_commands() -> None:
    assert len(commands()) > 30


@pytest.mark.parametrize("command", commands())
def test_a_command_is_understood(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    arguments = shlex.split(command, comments=True)
    try:
        if not names_agent(arguments):
            read_request(arguments)
            return
        options = read_agent_request(arguments).options
    except HelpAsked:
        assert "--help" in arguments
        return
    given = key_values(options.run.env_options, "--env-options")
    if options.env_id == DREAM:
        check_dream_options(given)
    else:
        make_envs(options.env_id, given, 1).close()

"""The promises of the packaging: commands, pins, listed packages, import rules, and what library code never does."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import equiworld

ROOT = Path(__file__).resolve().parents[1]
FRONT_DOORS = ("train.py", "evaluate.py")
RUN_COMMAND = "pip install -c constraints.txt -e . && python train.py --model=rgrvae --dataset=flatland"
TEST_COMMAND = 'pip install -c constraints.txt -e ".[test]" && pytest'

# Members of numpy.random that make or name a generator; the rest of it draws from, or seeds, the global state.
NUMPY_GENERATORS = {
    "BitGenerator", "Generator", "MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64", "SeedSequence", "default_rng",
}  # fmt: skip


@cache
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def listed_packages() -> list[str]:
    return project()["tool"]["setuptools"]["packages"]


def folder(package: str) -> Path:
    return ROOT.joinpath(*package.split(".")[1:])


def library_files() -> list[Path]:
    return sorted(path for package in listed_packages() for path in folder(package).glob("*.py"))


def walk_folders(top: Path) -> Iterator[Path]:
    for path in top.iterdir():
        # Virtual environments and what tools leave behind are not part of the tree.
        hidden = path.name.startswith(".") or path.name in {"build", "dist", "__pycache__"}
        if path.is_dir() and not path.is_symlink() and not hidden and not (path / "pyvenv.cfg").exists():
            yield path
            yield from walk_folders(path)


def dotted(node: ast.expr) -> str:
    """``a.b.c`` of a chain of attributes, ``.b.c`` when it hangs from something other than a name."""
    if isinstance(node, ast.Name):
        return node.id
    return f"{dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ""


def forbidden(source: str, front_door: bool = False) -> list[str]:
    """What a file does that no file of the library may do, as ``line: what``."""
    tree = ast.parse(source)
    known = {"print": "print"}  # local name -> full dotted name, so that no spelling of an import hides a call
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            tops = {name.name.split(".")[0] for name in node.names if not name.asname}
            known.update({top: top for top in tops} | {name.asname: name.name for name in node.names if name.asname})
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            known.update({name.asname or name.name: f"{node.module}.{name.name}" for name in node.names})

    def full_name(call: ast.Call) -> str:
        head, _, rest = dotted(call.func).partition(".")
        # A name that was not imported (an argument called `random`, say) stands for no module.
        return ".".join(filter(None, [known.get(head, ""), rest])) if head in known else f".{rest}"

    # Inside `with torch.random.fork_rng(...)` the global state is put back at the end: seeding there is local.
    local = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.With)
        and any(
            isinstance(i.context_expr, ast.Call) and full_name(i.context_expr).endswith("fork_rng") for i in node.items
        )
        for inner in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        what = None
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            what = "bare except"
        elif isinstance(node, ast.ImportFrom) and any(name.name == "*" for name in node.names):
            what = "wildcard import"
        elif isinstance(node, ast.Call):
            name = full_name(node)
            if isinstance(node.func, ast.Attribute) and node.func.attr == "cuda":
                what = ".cuda()"
            elif name == "torch.load" and not any(
                k.arg == "weights_only" and isinstance(k.value, ast.Constant) and k.value.value is True
                for k in node.keywords
            ):
                what = "torch.load without weights_only=True"
            elif name == "print" and not front_door:
                what = "print"
            elif name.endswith("random.RandomState") and node.args:
                pass  # a generator of its own, seeded: as local as default_rng
            elif not front_door and seeds_globally(name) and id(node) not in local:
                what = f"global random state: {name}"
        if what:
            found.append(f"{node.lineno}: {what}")
    return found


def seeds_globally(name: str) -> bool:
    if name.startswith("numpy.random."):
        return name.removeprefix("numpy.random.").split(".")[0] not in NUMPY_GENERATORS
    if name.startswith("random."):
        return name != "random.Random"
    return name.startswith("torch.") and name.endswith(("manual_seed", "manual_seed_all", "torch.seed", "random.seed"))


def imported(path: Path) -> set[str]:
    """Top-level names of the modules that a file imports absolutely."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


# The README and the pins


@pytest.mark.parametrize(("name", "command"), [("run", RUN_COMMAND), ("test", TEST_COMMAND)])
def test_readme_has_exactly_the_command(name: str, command: str) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.findall(rf"^<!-- command: {name} -->\n```bash\n(.*?)\n```$", readme, re.M | re.S) == [command]


@pytest.mark.parametrize(
    "page",
    [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted((ROOT / "docs").rglob("*.md")),
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    local = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert [link for link in local if not (page.parent / link).exists()] == []


def test_results_table_can_be_filled_in() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(re.findall(r"^<!-- results -->$.*?^<!-- /results -->$", readme, re.M | re.S)) == 1


def test_constraints_pin_every_direct_dependency_within_its_range() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {}
    for line in (line for line in lines if line and not line.startswith("#")):
        match = re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.]+)", line)
        assert match, f"not a pin: {line}"
        pinned[canonicalize_name(match[1])] = match[2]
    wanted = project()["project"]["dependencies"] + project()["project"]["optional-dependencies"]["test"]
    requirements = {canonicalize_name(r.name): r for r in map(Requirement, wanted)}
    assert sorted(pinned) == sorted(requirements)
    assert [name for name, r in requirements.items() if not r.specifier.contains(pinned[name])] == []


def test_version_is_written_once_and_the_same() -> None:
    version = project()["project"]["version"]
    assert equiworld.__version__ == version
    assert importlib.metadata.version("equiworld") == version
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


# The package


def test_every_package_of_the_tree_is_listed() -> None:
    found = [path for path in walk_folders(ROOT) if (path / "__init__.py").exists()]
    names = ["equiworld", *(".".join(("equiworld", *path.relative_to(ROOT).parts)) for path in found)]
    assert sorted(listed_packages()) == sorted(names)


def test_no_module_lies_in_an_unlisted_folder_of_a_package() -> None:
    listed = {folder(package) for package in listed_packages()} - {ROOT}
    inside = [path for top in listed for path in walk_folders(top) if path not in listed]
    assert [str(path.relative_to(ROOT)) for path in inside if any(path.glob("*.py"))] == []


def test_every_file_tells_its_job_in_its_first_line() -> None:
    without = [
        str(path.relative_to(ROOT))
        for path in [*library_files(), *sorted((ROOT / "tests").rglob("*.py"))]
        if not (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").strip()
    ]
    assert without == []


def test_every_third_party_import_is_a_declared_dependency() -> None:
    declared = {canonicalize_name(Requirement(r).name) for r in project()["project"]["dependencies"]}
    extras = project()["project"]["optional-dependencies"]
    declared |= {canonicalize_name(Requirement(r).name) for name in ("ray", "minari") for r in extras[name]}
    distributions = importlib.metadata.packages_distributions()
    missing = [
        f"{path.relative_to(ROOT)} imports {top}"
        for path in library_files()
        for top in sorted(imported(path) - {"equiworld", *sys.stdlib_module_names})
        if declared.isdisjoint(map(canonicalize_name, distributions.get(top, [])))
    ]
    assert missing == []


def test_importing_the_package_is_light_and_sub_packages_load_on_use() -> None:
    code = "import sys, equiworld; assert 'torch' not in sys.modules; print(equiworld.envs.__name__)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "equiworld.envs"
    with pytest.raises(AttributeError, match="no attribute 'absent'"):
        _ = equiworld.absent


def test_root_on_the_path_gives_no_other_library_our_folders(tmp_path: Path) -> None:
    """`python train.py` puts the root first on sys.path; nothing that is imported may then find `datasets` there."""
    modules = [
        ".".join(("equiworld", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
        for path in library_files()
        if path.name not in FRONT_DOORS
    ]
    code = "\n".join(
        [
            "import importlib, pathlib, sys",
            f"sys.path.insert(0, {str(ROOT)!r})",
            *(f"importlib.import_module({name!r})" for name in modules),
            f"folders = [pathlib.Path(name) for name in {[str(folder(p)) for p in listed_packages()]!r}]",
            "for name, module in sorted(sys.modules.items()):",
            "    file = getattr(module, '__file__', None)",
            "    if file and pathlib.Path(file).parent in folders and not name.startswith('equiworld'): print(name)",
        ]
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert out.returncode == 0, out.stderr
    assert out.stdout == ""


# What library code never does


@pytest.mark.parametrize("path", library_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_library_code_does_nothing_forbidden(path: Path) -> None:
    front_door = path.relative_to(ROOT).as_posix() in FRONT_DOORS
    assert forbidden(path.read_text(encoding="utf-8"), front_door) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("print(1)", ["1: print"]),
        ("try:\n    pass\nexcept:\n    pass", ["3: bare except"]),
        ("try:\n    pass\nexcept ValueError:\n    pass", []),
        ("model.cuda()", ["1: .cuda()"]),
        ("f(x).cuda(0)", ["1: .cuda()"]),
        ("import torch\ntorch.cuda.is_available()", []),
        ("from math import *", ["1: wildcard import"]),
        ("import torch\ntorch.load(p)", ["2: torch.load without weights_only=True"]),
        ("from torch import load\nload(p, weights_only=False)", ["2: torch.load without weights_only=True"]),
        ("import torch\ntorch.load(p, weights_only=True)", []),
        ("import torch as t\nt.manual_seed(0)", ["2: global random state: torch.manual_seed"]),
        ("import torch\nwith torch.random.fork_rng():\n    torch.manual_seed(0)", []),
        ("import torch\ntorch.Generator().manual_seed(0)", []),
        ("import numpy as np\nnp.random.seed(0)", ["2: global random state: numpy.random.seed"]),
        ("import numpy as np\nnp.random.default_rng(0).random(3)", []),
        ("from numpy.random import rand\nrand(3)", ["2: global random state: numpy.random.rand"]),
        ("import random\nrandom.seed(0)", ["2: global random state: random.seed"]),
        ("import random\nrandom.Random(0)", []),
        ("def f(random):\n    return random.normal()", []),
    ],
)
def test_the_check_of_forbidden_things_finds_them(source: str, found: list[str]) -> None:
    assert forbidden(source) == found


def test_front_doors_may_print_and_seed() -> None:
    assert forbidden("import torch\nprint(1)\ntorch.manual_seed(0)", front_door=True) == []

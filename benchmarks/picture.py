"""The picture in the README, from a run: what each learnt action does, and the latent planes that it turns.

python benchmarks/picture.py logs/version_0
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import numpy as np

from equiworld.reporting.subject import Subject
from equiworld.world_models import load_run
from equiworld.world_models.panels import action_rows, grid

TARGET = Path(__file__).resolve().parent.parent / "docs" / "images" / "flatland-rgrvae.png"


def main() -> None:
    """Draws the picture of the run that is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    assembly = load_run(parser.parse_args().run)
    subject = Subject(assembly)
    assert subject.group is not None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    image = assembly.data.images(assembly.split.test[:1])[0]
    rows = grid(action_rows(subject.group, image, 10)).mean(0).numpy()
    names = {learnt: assembly.data.world.actions[true].name for true, learnt in subject.mapping.items()}
    angles = [np.abs(np.angle(np.linalg.eigvals(matrix))).max() for matrix in subject.matrices]
    figure = pyplot.figure(figsize=(10, 2.7), dpi=110)
    layout = figure.add_gridspec(
        1, 3, width_ratios=[3.1, 1, 1], wspace=0.25, left=0.12, right=0.99, top=0.82, bottom=0.03
    )
    left = figure.add_subplot(layout[0])
    left.imshow(rows, cmap="gray", vmin=0, vmax=1)
    step = rows.shape[0] / len(angles)
    labels = [f"action {number}\n{angle:.3f} rad\n= {names.get(number, '-')}" for number, angle in enumerate(angles)]
    left.set_yticks([(number + 0.5) * step for number in range(len(angles))], labels, fontsize=7)
    left.set_xticks([])
    left.set_title("a held-out image, decoded after 0 to 9 times each learnt action", fontsize=9)
    factors = subject.factors
    for plane in range(subject.latents // 2):
        axes = figure.add_subplot(layout[1 + plane])
        codes = subject.codes[:, 2 * plane : 2 * plane + 2]
        # Each plane is coloured by the factor that it follows.
        explained = [
            np.mean([codes[factors[:, column] == value].var(0).sum() for value in np.unique(factors[:, column])])
            for column in range(factors.shape[1])
        ]
        column = int(np.argmin(explained))
        axes.scatter(*codes.T, c=factors[:, column], cmap="twilight", s=4)
        axes.set_aspect("equal")
        axes.set_xticks([])
        axes.set_yticks([])
        name = assembly.data.factors.names[column]
        axes.set_title(f"latent pair {plane}, all states,\ncoloured by factor {name}", fontsize=9)
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(TARGET)


if __name__ == "__main__":
    main()

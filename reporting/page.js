"use strict";
// The latent explorer: pictures are looked up in sheets that were decoded beforehand.
(() => {
  const size = (table, subset) => subset.reduce((all, axis) => all * table.axes[axis].size, 1);

  // The row of a state in a table, as explorer.Table.index; -1 where the table has no such state.
  const indexOf = (table, state) => {
    let start = 0;
    for (const subset of table.subsets) {
      if (table.axes.every((axis, i) => state[i] === axis.base || subset.includes(i)))
        return subset.reduce((row, axis) => row * table.axes[axis].size + state[axis], 0) + start;
      start += size(table, subset);
    }
    return -1;
  };

  // The state of a row.
  const stateOf = (table, row) => {
    for (const subset of table.subsets) {
      const all = size(table, subset);
      if (row < all) {
        const state = table.axes.map((axis) => axis.base);
        for (const axis of [...subset].reverse()) {
          state[axis] = row % table.axes[axis].size;
          row = Math.floor(row / table.axes[axis].size);
        }
        return state;
      }
      row -= all;
    }
    return null;
  };

  const nearest = (values, value) =>
    values.reduce((best, each, i) => (Math.abs(each - value) < Math.abs(values[best] - value) ? i : best), 0);

  const load = (table) => new Promise((done, failed) => {
    table.image = new Image();
    table.image.onload = () => done();
    table.image.onerror = () => failed(new Error("a sheet of pictures cannot be shown"));
    table.image.src = table.sheet;
  });

  class Explorer {
    constructor(root) {
      this.root = root;
      this.data = JSON.parse(root.querySelector('script[type="application/json"]').textContent);
      this.canvas = root.querySelector("canvas");
      this.sliders = [...root.querySelectorAll("[data-latent]")];
      this.buttons = [...root.querySelectorAll("[data-action]")];
      this.sliders.forEach((slider, i) => slider.addEventListener("input", () => this.slide(i, Number(slider.value))));
      this.buttons.forEach((button, i) => button.addEventListener("click", () => this.press(i)));
      root.querySelector("[data-reset]").addEventListener("click", () => this.reset());
    }

    async start() {
      await Promise.all([this.data.latents, this.data.orbit].filter(Boolean).map(load));
      this.reset();
    }

    reset() {
      this.mode = this.data.orbit ? "orbit" : "latents";
      this.grid = this.data.latents.axes.map((axis) => axis.base);
      this.turns = this.data.orbit ? this.data.orbit.axes.map((axis) => axis.base) : [];
      this.recent = { grid: [], turns: [] };
      this.show();
    }

    // The code of what is shown.
    code() {
      return this.mode === "orbit"
        ? this.data.orbit.codes[indexOf(this.data.orbit, this.turns)]
        : this.grid.map((place, i) => this.data.latents.values[i][place]);
    }

    // Moves one axis; others go back to their base, the one moved longest ago first, until the table has the state.
    move(table, kind, axis, place) {
      const state = this[kind], order = this.recent[kind].filter((each) => each !== axis);
      order.push(axis);
      state[axis] = place;
      while (indexOf(table, state) < 0) {
        const old = table.axes.findIndex((each, i) => !order.includes(i) && state[i] !== each.base);
        const back = old >= 0 ? old : order.shift();
        state[back] = table.axes[back].base;
      }
      this.recent[kind] = order.filter((each) => state[each] !== table.axes[each].base);
    }

    slide(latent, place) {
      const table = this.data.latents;
      if (this.mode === "orbit") {
        // Go on from the place on the grid that is nearest, the latents that are furthest from the start kept.
        const code = this.code(), start = table.axes.map((axis) => axis.base);
        this.grid = start.slice();
        this.recent.grid = [];
        const far = (i) => Math.abs(code[i] - table.values[i][start[i]]);
        const order = start.map((_, i) => i).filter((i) => i !== latent).sort((a, b) => far(b) - far(a));
        order.slice(0, table.arity - 1).reverse().forEach((i) => this.move(table, "grid", i, nearest(table.values[i], code[i])));
        this.mode = "latents";
      }
      this.move(table, "grid", latent, place);
      this.show();
    }

    press(number) {
      const table = this.data.orbit, { axis, step } = this.data.actions[number], circle = table.axes[axis];
      if (this.mode === "latents") {
        const code = this.code();
        const gap = (other) => other.reduce((sum, value, i) => sum + (value - code[i]) ** 2, 0);
        let best = 0, least = Infinity;
        table.codes.forEach((other, row) => { const found = gap(other); if (found < least) { least = found; best = row; } });
        this.turns = stateOf(table, best);
        this.recent.turns = [];
        this.mode = "orbit";
      }
      let place = this.turns[axis] + step;
      if (circle.cyclic) place = ((place % circle.size) + circle.size) % circle.size;
      else place = Math.min(Math.max(place, 0), circle.size - 1);
      this.move(table, "turns", axis, place);
      this.show();
    }

    show() {
      const orbit = this.mode === "orbit", table = orbit ? this.data.orbit : this.data.latents;
      const row = indexOf(table, orbit ? this.turns : this.grid), code = this.code();
      this.row = row;
      if (this.canvas.width !== table.width) this.canvas.width = table.width;
      if (this.canvas.height !== table.height) this.canvas.height = table.height;
      const context = this.canvas.getContext("2d");
      context.imageSmoothingEnabled = false;
      context.drawImage(table.image, (row % table.columns) * table.width, Math.floor(row / table.columns) * table.height,
        table.width, table.height, 0, 0, table.width, table.height);
      this.sliders.forEach((slider, i) => {
        const values = this.data.latents.values[i];
        slider.value = String(orbit ? nearest(values, code[i]) : this.grid[i]);
        slider.nextElementSibling.textContent = code[i].toFixed(2);
        slider.setAttribute("aria-valuetext", code[i].toFixed(2));
      });
      this.root.querySelector(".state").textContent = orbit
        ? table.axes.map((axis, i) => `${axis.name}: ${this.turns[i] - axis.base}${axis.cyclic ? ` of ${axis.size}` : ""}`).join(", ")
        : "moved by sliders";
      this.buttons.forEach((button, i) => {
        const { axis, step } = this.data.actions[i], circle = this.data.orbit.axes[axis], place = this.turns[axis] + step;
        button.disabled = orbit && !circle.cyclic && (place < 0 || place >= circle.size);
      });
    }

    picture() {
      return this.canvas.toDataURL();
    }

    // Drives the controls as a visitor would; what it finds is for the tests of the page.
    examine() {
      const found = { sliders: [], actions: [], undone: true };
      this.reset();
      const first = this.picture();
      this.sliders.forEach((slider, i) => {
        this.reset();
        const before = this.picture(), seen = new Set();
        for (let place = 0; place <= Number(slider.max); place += 1) {
          slider.value = String(place);
          slider.dispatchEvent(new Event("input"));
          seen.add(this.picture());
        }
        slider.value = String(this.data.latents.axes[i].base);
        slider.dispatchEvent(new Event("input"));
        found.sliders.push({ pictures: seen.size, positions: Number(slider.max) + 1, back: this.picture() === before });
      });
      this.buttons.forEach((button, i) => {
        this.reset();
        const { axis, step } = this.data.actions[i], circle = this.data.orbit.axes[axis];
        const pictures = [this.picture()];
        let presses = 0;
        while (presses < circle.size && !button.disabled) {
          button.click();
          presses += 1;
          pictures.push(this.picture());
          if (circle.cyclic && this.turns[axis] === circle.base) break;
        }
        found.actions.push({ size: circle.size, cyclic: circle.cyclic, step, presses,
          back: pictures[presses] === pictures[0], different: new Set(pictures).size });
      });
      this.reset();
      if (this.sliders.length) {
        // From the sliders to the actions and back to the start.
        this.sliders[0].value = "0";
        this.sliders[0].dispatchEvent(new Event("input"));
        if (this.buttons.length) this.buttons[0].click();
        this.root.querySelector("[data-reset]").click();
        found.undone = this.picture() === first;
      }
      return found;
    }
  }

  const tell = (outcome) => document.documentElement.setAttribute("data-selftest", JSON.stringify(outcome));
  const explorers = [...document.querySelectorAll(".explorer")].map((root) => new Explorer(root));
  Promise.all(explorers.map((explorer) => explorer.start())).then(() => {
    if (location.hash === "#explorer-selftest") tell(explorers.map((explorer) => explorer.examine()));
  }).catch((error) => {
    explorers.forEach(({ root }) => { root.querySelector(".state").textContent = String(error); });
    if (location.hash === "#explorer-selftest") tell({ error: String(error) });
  });
  // What is folded away is printed too.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    closed.forEach((each) => { each.open = true; });
  });
  addEventListener("afterprint", () => { closed.forEach((each) => { each.open = false; }); });
})();

// Draws each figure of plots.html from the numbers in its table: there is one source, and who cannot see has it, too.
//
// With live.js: after it has morphed a region it dispatches `postroad:updated` on document, and what changed is drawn
// anew. It should leave the children and attributes of `[data-keep]` alone (the canvas), and the `open` of <details>.
(() => {
  "use strict";
  const language = document.documentElement.lang || "en";
  const whole = new Intl.NumberFormat(language);
  const short = new Intl.NumberFormat(language, { notation: "compact", maximumFractionDigits: 1 });
  const clock = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: "UTC" });
  const date = new Intl.DateTimeFormat(language, { day: "numeric", month: "short", timeZone: "UTC" });
  const DAY = 86400;
  const STEPS = [1, 2, 5, 10, 20, 50].flatMap((n) => [1, 100, 1e4, 1e6, 1e8].map((scale) => n * scale)).sort((a, b) => a - b);
  const TIMES = [900, 1800, 3600, 7200, 10800, 14400, 21600, 43200, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 30 * DAY];
  const DASH = { good: [], plain: [], later: [7, 4], never: [2, 3] };
  const drawn = new WeakMap(); // figure -> {plot, seen, shape}

  const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const colour = (tone) => token({ good: "--series-1", later: "--series-2", never: "--series-3", plain: "--series-4" }[tone]);
  const number = (cell) => Number(cell.textContent.replaceAll(",", ""));

  // Numbers, names and clock of a figure.
  function read(figure) {
    const table = figure.querySelector("table");
    const [start, step, offset] = ["start", "step", "offset"].map((name) => Number(table.dataset[name]));
    const rows = [...table.tBodies[0].rows];
    const keys = [...figure.querySelectorAll(".legend li")];
    return {
      kind: figure.dataset.kind,
      start, step, offset,
      tones: keys.map((key) => key.dataset.tone),
      times: rows.map((_, row) => start + step * (row + 0.5)),
      values: keys.map((_, column) => rows.map((row) => number(row.cells[column + 1]))),
    };
  }

  // Bars stand on the ones before them, so each is drawn to the sum, the tallest first.
  function data(read) {
    if (read.kind !== "bars") return [read.times, ...read.values];
    const sums = read.values.map((_, upto) => read.times.map((_, row) => read.values.slice(0, upto + 1).reduce((sum, one) => sum + one[row], 0)));
    return [read.times, ...sums.reverse()];
  }

  function hatched(context, tone, ratio) {
    if (tone !== "later" && tone !== "never") return colour(tone);
    const tile = document.createElement("canvas");
    const size = (tile.width = tile.height = Math.round(6 * ratio));
    const pen = tile.getContext("2d");
    pen.fillStyle = colour(tone);
    pen.fillRect(0, 0, size, size);
    pen.strokeStyle = token("--sheet");
    pen.lineWidth = ratio;
    pen.beginPath();
    if (tone === "later") {
      for (const shift of [-size, 0, size]) {
        pen.moveTo(shift - 1, size + 1);
        pen.lineTo(shift + size + 1, -1);
      }
    } else {
      pen.moveTo(size / 2, 0);
      pen.lineTo(size / 2, size);
    }
    pen.stroke();
    return context.createPattern(tile, "repeat");
  }

  function series(read) {
    const made = read.tones.map((tone, index) =>
      read.kind === "bars"
        ? { fill: (plot) => hatched(plot.ctx, tone, devicePixelRatio), stroke: () => token("--sheet"), width: 1, paths: uPlot.paths.bars({ size: [0.86, 40] }), points: { show: false } }
        : { stroke: () => colour(tone), width: 1.75, dash: DASH[tone], fill: index === 0 ? () => colour(tone) + "1c" : undefined, points: { show: read.times.length < 2 } },
    );
    return [{}, ...(read.kind === "bars" ? made.reverse() : made)];
  }

  function axes(read) {
    const font = `12px ${token("--sans")}`;
    const quiet = { stroke: () => token("--soft"), font, ticks: { show: false }, grid: { stroke: () => token("--line"), width: 1 } };
    const named = (at) => ((at + read.offset) % DAY === 0 ? date : clock).format((at + read.offset) * 1000);
    const long = read.step * read.times.length > 3 * DAY;
    const every = long ? TIMES.filter((time) => time % DAY === 0) : TIMES;
    return [
      { ...quiet, grid: { show: false }, size: 26, gap: 4, space: long ? 64 : 56, incrs: every, splits: whereTimes(read), values: (_, at) => at.map(named) },
      { ...quiet, size: (_, labels) => 10 + 7.5 * Math.max(1, ...(labels || []).map((one) => one.length)), gap: 6, space: 28, incrs: STEPS, values: (_, at) => at.map((one) => short.format(one)) },
    ];
  }

  // Round hours of the server's clock, not of the reader's.
  function whereTimes(read) {
    return (_, __, from, to, step) => {
      const found = [];
      for (let at = Math.ceil((from + read.offset) / step) * step; at <= to + read.offset; at += step) found.push(at - read.offset);
      return found;
    };
  }

  function tell(figure, row) {
    const { seen } = drawn.get(figure);
    const at = row === null || row === undefined ? null : seen.start + seen.step * row + seen.offset;
    const word = (moment) => clock.format(moment * 1000);
    const day = at === null || seen.step * seen.times.length <= DAY + seen.step ? "" : date.format(at * 1000) + " ";
    const reading = figure.querySelector(".reading");
    reading.textContent = at === null ? reading.dataset.note : seen.step >= DAY ? day : `${day}${word(at)}–${word(at + seen.step)}`;
    figure.querySelectorAll(".legend [data-total]").forEach((place, column) => {
      place.textContent = at === null ? place.dataset.total : whole.format(seen.values[column][row]);
    });
  }

  function size(holder) {
    return { width: Math.max(holder.clientWidth, 120), height: Math.max(holder.clientHeight, 80) };
  }

  function make(figure, seen) {
    const holder = figure.querySelector(".canvas");
    const bars = seen.kind === "bars";
    return new uPlot({
      ...size(holder),
      padding: [8, 18, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { show: !bars, size: 7 } },
      scales: {
        x: { time: true, range: () => [seen.start, seen.start + seen.step * Math.max(seen.times.length, 1)] },
        y: { range: (_, __, max) => [0, Math.max(max || 0, 3) * 1.06] },
      },
      series: series(seen),
      axes: axes(seen),
      hooks: { setCursor: [(plot) => drawn.has(figure) && tell(figure, plot.cursor.left >= 0 ? plot.cursor.idx : null)] },
    }, data(seen), holder);
  }

  function draw(figure, anew = false) {
    const seen = read(figure);
    const shape = JSON.stringify([seen.kind, seen.tones]);
    const content = JSON.stringify([seen.start, seen.step, seen.offset, seen.values]);
    const old = drawn.get(figure);
    const standing = old && !anew && old.shape === shape && figure.contains(old.plot.root);
    if (standing && old.content === content) return;
    if (old) old.plot.destroy();
    figure.classList.add("drawn");
    drawn.set(figure, { plot: make(figure, seen), seen, shape, content });
  }

  const figures = () => document.querySelectorAll("figure.plot");
  const all = (anew) => figures().forEach((figure) => draw(figure, anew));
  const sizes = new ResizeObserver((changes) => {
    for (const { target } of changes) {
      const known = drawn.get(target.closest("figure"));
      const wanted = size(target);
      if (known && (known.plot.width !== wanted.width || known.plot.height !== wanted.height)) known.plot.setSize(wanted);
    }
  });

  const watch = () => figures().forEach((figure) => sizes.observe(figure.querySelector(".canvas")));
  document.addEventListener("postroad:updated", () => { all(false); watch(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => all(true));
  addEventListener("beforeprint", () => all(true));
  addEventListener("afterprint", () => all(true));
  all(false);
  watch();
})();

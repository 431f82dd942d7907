// The disk's level over one build; below it a bar for every step, coloured by its stage.
function drawTimeline(figure, build) {
  const points = build.timeline;
  if (!points.length) {
    figure.replaceChildren(html("p", {}, "The disk's level was not recorded for this build."));
    return;
  }
  const stages = [...new Set(build.steps.map((step) => step.stage || "other"))];
  const colour = (step) => `f${stages.indexOf(step.stage || "other") % 8}`;
  const key = html("div", { class: "key" });
  for (const [index, stage] of stages.entries()) {
    const mark = svg("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" }, svg("rect", { class: `f${index % 8}`, width: 10, height: 10 }));
    key.append(html("span", {}, mark, stage));
  }
  const end = Math.max(points[points.length - 1][0], ...build.steps.map((step) => step.end), 1);
  const peak = points.reduce((best, point) => (point[1] > best[1] ? point : best));
  // Steps that ran at the same time lie in rows below each other.
  const rows = [];
  const placed = build.steps.filter((step) => step.end > step.start).map((step) => {
    let row = rows.findIndex((free) => free <= step.start);
    if (row < 0) row = rows.push(0) - 1;
    rows[row] = step.end;
    return [step, row];
  });
  drawn(figure, (width) => {
    const [left, right, top, plot] = [70, 14, 16, 220];
    const bars = Math.min(rows.length, 12) * 18;
    const height = top + plot + 24 + bars + 6;
    const ceiling = build.ceiling && build.ceiling < peak[1] * 2.5 ? build.ceiling : 0;
    const highest = Math.max(peak[1], ceiling, 1) * 1.06;
    const x = (ms) => left + (ms / end) * (width - left - right);
    const y = (used) => top + (1 - used / highest) * plot;
    const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, tabindex: 0, role: "img" });
    picture.setAttribute("aria-label", `Disk in use: at most ${formatSize(peak[1])}, ${formatTime(peak[0])} after the start; `
      + `${build.steps.length} steps in ${formatTime(end)}`);
    for (const used of ticks(0, highest, 5)) {
      picture.append(
        svg("line", { class: "gridline", x1: left, x2: width - right, y1: y(used), y2: y(used) }),
        svg("text", { x: left - 8, y: y(used) + 4, "text-anchor": "end" }, formatSize(used)),
      );
    }
    const every = ticks(0, end / 1000, Math.max(2, Math.floor((width - left) / 90)));
    for (const second of every) {
      picture.append(svg("text", { x: x(second * 1000), y: top + plot + 16, "text-anchor": second ? "middle" : "start" }, formatTime(second * 1000)));
    }
    const places = points.map(([ms, used]) => [x(ms), y(used)]);
    const base = top + plot;
    picture.append(
      svg("path", { class: "under", d: `${path(places)}L${places[places.length - 1][0]} ${base}L${places[0][0]} ${base}Z` }),
      svg("path", { class: "curve", d: path(places) }),
      svg("line", { class: "axis", x1: left, x2: width - right, y1: base, y2: base }),
    );
    if (ceiling) {
      picture.append(
        svg("line", { class: "limit", x1: left, x2: width - right, y1: y(ceiling), y2: y(ceiling) }),
        svg("text", { class: "limit-name", x: left + 4, y: y(ceiling) - 4 }, `disk budget ${formatSize(ceiling)}`),
      );
    }
    const peakLeft = x(peak[0]) > width / 2;
    picture.append(
      svg("circle", { class: "dot", r: 4, cx: x(peak[0]), cy: y(peak[1]) }),
      svg("text", { class: "peak", x: x(peak[0]) + (peakLeft ? -9 : 9), y: y(peak[1]) + 16, "text-anchor": peakLeft ? "end" : "start" }, `peak ${formatSize(peak[1])}`),
    );
    const bands = new Map();
    for (const [step, row] of placed) {
      const wide = Math.max(x(step.end) - x(step.start), 2);
      const band = svg("rect", { class: `band ${colour(step)}`, x: x(step.start), width: wide, y: base + 24 + (row % 12) * 18, height: 16 });
      bands.set(step, band);
      picture.append(band);
    }
    const cursor = svg("line", { class: "cursor", y1: top, y2: height - 4, visibility: "hidden" });
    picture.append(cursor);
    figure.querySelector("svg")?.remove();
    figure.prepend(picture);
    const running = (ms) => placed.filter(([step]) => step.start <= ms && ms <= step.end).map(([step]) => step);
    walkable(
      picture,
      places.map((place) => place[0]),
      (at) => {
        const [ms, used] = points[at];
        const steps = running(ms).map((step) => `\n${step.name}${step.line ? ` (line ${step.line})` : ""}`
          + `${step.added === null ? "" : `: ${step.added < 0 ? "" : "+"}${formatSize(step.added)}`}`);
        return `${formatTime(ms)}: ${formatSize(used)} in use${steps.slice(0, 6).join("")}`;
      },
      (at) => {
        const now = new Set(running(points[at][0]));
        for (const [step, band] of bands) band.classList.toggle("on", now.has(step));
        cursor.setAttribute("x1", places[at][0]);
        cursor.setAttribute("x2", places[at][0]);
        cursor.setAttribute("visibility", "visible");
      },
      () => {
        cursor.setAttribute("visibility", "hidden");
        for (const band of bands.values()) band.classList.remove("on");
      },
    );
  });
  figure.append(key);
}

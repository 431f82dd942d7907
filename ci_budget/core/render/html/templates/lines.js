// A series comes as first day, first value, then differences; values are counted in `scale`.
function unpack(series) {
  const points = [];
  let day = series.day;
  let value = series.values[0];
  series.values.forEach((difference, index) => {
    if (index) {
      value += difference;
      day += series.days ? series.days[index - 1] : 1;
    }
    points.push([day, value * series.scale]);
  });
  return points;
}

function path(points) {
  return points.map(([x, y], index) => `${index ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
}

// One metric of one image over the days, with its budget and its last release.
function drawLine(figure, series, title) {
  const points = unpack(series);
  const unit = data.units[series.metric];
  drawn(figure, (width) => {
    const height = 210;
    const [left, right, top, bottom] = [70, 12, 16, 24];
    const values = points.map((point) => point[1]);
    const marks = [series.budget, series.released].filter((value) => value !== undefined);
    const low = Math.min(...values);
    const high = Math.max(...values);
    // The budget is drawn when it is near enough to leave the curve its shape.
    const near = marks.filter((value) => value <= high + 3 * Math.max(high - low, high * 0.1));
    const highest = Math.max(high, ...near, 1);
    const least = Math.min(low, ...near);
    const counted = unit !== "bytes";
    const lowest = Math.max(0, counted ? Math.floor(least) - 1 : least - (highest - least) * 0.25 - highest * 0.01);
    const ceiling = counted ? Math.ceil(highest) + 1 : highest + (highest - lowest) * 0.08;
    const days = Math.max(points[points.length - 1][0] - points[0][0], 1);
    const x = (day) => left + ((day - points[0][0]) / days) * (width - left - right);
    const y = (value) => top + (1 - (value - lowest) / (ceiling - lowest)) * (height - top - bottom);
    const places = points.map(([day, value]) => [x(day), y(value)]);
    const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, tabindex: 0, role: "img" });
    picture.setAttribute("aria-label", `${title}: ${formatValue(values[0], unit)} on ${formatDay(points[0][0])}, `
      + `${formatValue(values[values.length - 1], unit)} on ${formatDay(points[points.length - 1][0])}`);
    for (const value of ticks(lowest, ceiling, 4)) {
      if (counted && Math.abs(value - Math.round(value)) > 1e-9) continue;
      picture.append(
        svg("line", { class: "gridline", x1: left, x2: width - right, y1: y(value), y2: y(value) }),
        svg("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, formatValue(value, unit)),
      );
    }
    const count = Math.max(1, Math.min(points.length - 1, Math.floor((width - left) / 110), days));
    for (let index = 0; index <= count; index++) {
      const day = Math.round(points[0][0] + (days * index) / count);
      const anchor = index === 0 ? "start" : index === count ? "end" : "middle";
      if (points.length > 1 || index === 0) {
        picture.append(svg("text", { x: x(day), y: height - 6, "text-anchor": anchor }, formatDay(day)));
      }
    }
    const bottomY = height - bottom;
    picture.append(
      svg("path", { class: "under", d: `${path(places)}L${places[places.length - 1][0]} ${bottomY}L${places[0][0]} ${bottomY}Z` }),
      svg("path", { class: "curve", d: path(places) }),
    );
    for (const [value, kind, name] of [[series.budget, "limit", "budget"], [series.released, "release", "last release"]]) {
      if (!near.includes(value)) continue;
      picture.append(
        svg("line", { class: kind, x1: left, x2: width - right, y1: y(value), y2: y(value) }),
        svg("text", { class: `${kind}-name`, x: left + 4, y: y(value) - 4 }, `${name} ${formatValue(value, unit)}`),
      );
    }
    const dot = svg("circle", { class: "dot", r: 5, visibility: "hidden" });
    const last = places[places.length - 1];
    picture.append(svg("circle", { class: "dot", r: 4, cx: last[0], cy: last[1] }), dot);
    figure.querySelector("svg")?.remove();
    figure.append(picture);
    walkable(
      picture,
      places.map((place) => place[0]),
      (at) => `${formatDay(points[at][0])}\n${title}: ${formatValue(points[at][1], unit)}`,
      (at) => {
        dot.setAttribute("cx", places[at][0]);
        dot.setAttribute("cy", places[at][1]);
        dot.setAttribute("visibility", "visible");
      },
      () => dot.setAttribute("visibility", "hidden"),
    );
  });
}

function drawSpark(cell, series) {
  const points = unpack(series);
  const values = points.map((point) => point[1]);
  const low = Math.min(...values);
  const span = Math.max(Math.max(...values) - low, 1);
  const days = Math.max(points[points.length - 1][0] - points[0][0], 1);
  const places = points.map(([day, value]) => [2 + ((day - points[0][0]) / days) * 106, 19 - ((value - low) / span) * 16]);
  if (places.length === 1) places.push([108, places[0][1]]);
  cell.append(svg("svg", { viewBox: "0 0 110 22", "aria-hidden": "true" }, svg("path", { class: "curve", d: path(places) })));
}

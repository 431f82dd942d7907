// Squarified treemap (Bruls, Huizing, van Wijk 2000): boxes as square as the order by size allows.
function squarify(boxes, x, y, width, height) {
  const placed = [];
  const sizes = boxes.filter((box) => box.size > 0).sort((one, other) => other.size - one.size);
  let total = sizes.reduce((sum, box) => sum + box.size, 0);
  let start = 0;
  while (start < sizes.length && width > 0 && height > 0) {
    const short = Math.min(width, height);
    const scale = (width * height) / total;
    let count = 0;
    let sum = 0;
    let worst = Infinity;
    while (start + count < sizes.length) {
      const next = sum + sizes[start + count].size;
      const side = (next * scale) / short;
      const ratio = Math.max(
        ...[sizes[start].size, sizes[start + count].size].map((size) => Math.max((size * scale) / side / side, (side * side) / (size * scale))),
      );
      if (ratio > worst) break;
      [worst, sum, count] = [ratio, next, count + 1];
    }
    const side = (sum * scale) / short;
    let along = 0;
    for (const box of sizes.slice(start, start + count)) {
      const length = (box.size * scale) / side;
      placed.push(width >= height ? [box, x, y + along, side, length] : [box, x + along, y, length, side]);
      along += length;
    }
    if (width >= height) [x, width] = [x + side, width - side];
    else [y, height] = [y + side, height - side];
    total -= sum;
    start += count;
  }
  return placed;
}

function fitted(text, width) {
  const most = Math.floor((width - 8) / 6.6);
  return most < 3 ? "" : text.length <= most ? text : `${text.slice(0, most - 1)}\u2026`;
}

function drawTreemap(figure, root) {
  if (!root) {
    figure.replaceChildren(html("p", {}, "No treemap: no inventory of this image's files was kept (inventory.json.zst)."));
    return;
  }
  const trail = [root];
  const up = html("button", { type: "button", class: "plain" }, "Up");
  const where = html("span", { class: "sub" });
  figure.prepend(html("div", { class: "key" }, up, where));
  let width = 0;
  const draw = (focus) => {
    const here = trail[trail.length - 1];
    const height = Math.max(220, Math.min(420, width * 0.6));
    const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "group", "aria-label": "Treemap" });
    const share = (box) => `${formatSize(box.size)}, ${((100 * box.size) / root.size).toFixed(1)} % of the image`;
    squarify(here.children, 0, 0, width, height).forEach(([box, x, y, wide, high], index) => {
      const inner = box.children || [];
      const group = svg("g", { tabindex: 0, role: inner.length ? "button" : "img", "aria-label": `${box.name}: ${share(box)}` });
      group.append(svg("rect", { class: `box f${index % 8}`, x, y, width: wide, height: high }));
      if (high > 18) group.append(svg("text", { class: "ink", x: x + 5, y: y + 14 }, fitted(`${box.name} ${formatSize(box.size)}`, wide)));
      if (inner.length && wide > 40 && high > 44) {
        for (const [child, cx, cy, cw, ch] of squarify(inner, x + 4, y + 20, wide - 8, high - 24)) {
          group.append(svg("rect", { class: `box f${index % 8}`, x: cx, y: cy, width: cw, height: ch }));
          if (ch > 18) group.append(svg("text", { class: "ink", x: cx + 5, y: cy + 14 }, fitted(child.name, cw)));
        }
      }
      const open = () => {
        if (!inner.length) return;
        trail.push(box);
        hideTip();
        draw(true);
      };
      group.addEventListener("click", open);
      group.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") open();
        else if (event.key === "Escape" && trail.length > 1) {
          trail.pop();
          draw(true);
        } else return;
        event.preventDefault();
      });
      group.addEventListener("pointermove", (event) => showTip(`${box.name}\n${share(box)}`, event.clientX, event.clientY));
      group.addEventListener("focus", () => {
        const place = group.getBoundingClientRect();
        if (group.matches(":focus-visible")) showTip(`${box.name}\n${share(box)}`, place.left, place.top);
      });
      group.addEventListener("pointerleave", hideTip);
      group.addEventListener("blur", hideTip);
      picture.append(group);
    });
    if (!here.children || !here.children.length) picture.append(svg("text", { x: 8, y: 20 }, "nothing inside"));
    up.hidden = trail.length === 1;
    where.textContent = trail.map((box) => `${box.name} (${formatSize(box.size)})`).join(" / ");
    figure.querySelector("svg")?.remove();
    figure.append(picture);
    if (focus) picture.querySelector("g")?.focus();
  };
  up.addEventListener("click", () => {
    trail.pop();
    draw(true);
  });
  drawn(figure, (now) => {
    width = now;
    draw(false);
  });
}

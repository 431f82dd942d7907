const theme = document.getElementById("theme");
theme.hidden = false;
theme.addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});

for (const figure of document.querySelectorAll("[data-timeline]")) drawTimeline(figure, data.builds[figure.dataset.timeline]);
for (const figure of document.querySelectorAll("[data-treemap]")) drawTreemap(figure, data.builds[figure.dataset.treemap].treemap);
for (const cell of document.querySelectorAll("[data-spark]")) {
  const found = data.images[cell.dataset.spark].series.find((series) => series.metric === "image_size");
  if (found) drawSpark(cell, found);
}

// The nightly page: one image at a time in detail, the worst one first.
function chart(kind, caption) {
  return html("figure", { class: `chart ${kind}` }, html("figcaption", {}, caption));
}

function showImage(key, byHand) {
  const image = data.images[key];
  const detail = document.getElementById("detail");
  detail.hidden = false;
  const heading = document.getElementById("image");
  heading.textContent = image.title;
  document.getElementById("facts").textContent = image.facts;
  const lines = document.getElementById("lines");
  lines.replaceChildren();
  for (const series of image.series) {
    const figure = chart("line", series.text);
    lines.append(figure);
    drawLine(figure, series, series.metric);
  }
  if (!image.series.length) lines.append(html("p", {}, "Nothing was measured in this time."));
  const place = document.getElementById("build");
  place.replaceChildren();
  const build = data.builds[key];
  if (build) {
    place.append(html("p", { class: "sub" }, build.facts));
    const timeline = chart("timeline", "Disk in use over the build, with its steps. Arrow keys move along it.");
    const treemap = chart("treemap", "What the image is made of, by step and path. Enter opens a box, Escape goes back.");
    place.append(timeline, html("h3", {}, "Image"), treemap);
    drawTimeline(timeline, build);
    drawTreemap(treemap, build.treemap);
  } else {
    place.append(html("p", {}, "No build of this image is drawn here: the page has room for those of the worst images that were kept. report.html of its last run shows it."));
  }
  if (byHand) {
    heading.focus();
    detail.scrollIntoView({ block: "start" });
  }
}

for (const button of document.querySelectorAll("[data-show]")) {
  button.addEventListener("click", () => showImage(button.dataset.show, true));
}
if (data.first) showImage(data.first, false);

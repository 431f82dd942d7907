"use strict";
// What all charts share. No text ever becomes markup: elements are made, and texts are set as text.
const data = JSON.parse(document.getElementById("data").textContent);
const tip = document.getElementById("tip");

function svg(name, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes || {})) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function html(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function formatSize(bytes) {
  const sign = bytes < 0 ? "-" : "";
  let rest = Math.abs(bytes);
  if (rest < 1000) return `${sign}${Math.round(rest)} B`;
  let shown = "";
  for (const unit of ["kB", "MB", "GB", "TB", "PB", "EB"]) {
    rest /= 1000;
    const digits = rest < 10 ? 2 : rest < 100 ? 1 : 0;
    shown = `${sign}${rest.toFixed(digits)} ${unit}`;
    if (Number(rest.toFixed(digits)) < 1000) break;
  }
  return shown;
}

function formatValue(value, unit) {
  if (unit === "bytes") return formatSize(value);
  return unit === "seconds" ? `${value} s` : value.toLocaleString("en-US");
}

function formatTime(ms) {
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  return `${Math.floor(seconds / 60)}m ${String(Math.floor(seconds % 60)).padStart(2, "0")}s`;
}

function formatDay(day) {
  return new Date(day * 86400000).toISOString().slice(0, 10);
}

// Round steps for an axis from 0 to `highest`: 1, 2 or 5 times a power of ten.
function ticks(lowest, highest, most) {
  const span = Math.max(highest - lowest, 1e-9);
  const power = 10 ** Math.floor(Math.log10(span / most));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => span / size <= most);
  const found = [];
  for (let at = Math.ceil(lowest / step) * step; at <= highest + step * 1e-6; at += step) found.push(at);
  return found;
}

function showTip(text, x, y) {
  tip.textContent = text;
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const left = Math.min(Math.max(4, x + 14), window.innerWidth - box.width - 4);
  const top = y + 18 + box.height > window.innerHeight ? y - box.height - 12 : y + 18;
  tip.style.left = `${Math.max(4, left)}px`;
  tip.style.top = `${Math.max(4, top)}px`;
}

function hideTip() {
  tip.hidden = true;
}

// Draw now and whenever the width changes. Charts are drawn for their width, so that text keeps its size.
function drawn(figure, draw) {
  let width = 0;
  const again = () => {
    const now = Math.floor(figure.clientWidth);
    if (now > 0 && now !== width) {
      width = now;
      draw(now);
    }
  };
  new ResizeObserver(again).observe(figure);
  again();
}

// A chart that is walked along: by the pointer, and by the arrow keys, Home and End. `places`: x of each stop.
function walkable(element, places, say, show, leave) {
  let at = places.length - 1;
  const go = (index, fromPointer) => {
    at = Math.min(Math.max(index, 0), places.length - 1);
    show(at);
    const box = element.getBoundingClientRect();
    const x = box.left + places[at];
    showTip(say(at), x, fromPointer || box.top + 24);
  };
  element.addEventListener("pointermove", (event) => {
    const x = event.clientX - element.getBoundingClientRect().left;
    let nearest = 0;
    places.forEach((place, index) => {
      if (Math.abs(place - x) < Math.abs(places[nearest] - x)) nearest = index;
    });
    go(nearest, event.clientY);
  });
  element.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 };
    if (event.key in steps) go(at + steps[event.key]);
    else if (event.key === "Home") go(0);
    else if (event.key === "End") go(places.length - 1);
    else if (event.key === "Escape") hideTip();
    else return;
    event.preventDefault();
  });
  const end = () => {
    leave();
    hideTip();
  };
  element.addEventListener("focus", () => element.matches(":focus-visible") && go(at));
  element.addEventListener("pointerleave", end);
  element.addEventListener("blur", end);
}

// Tables sort by the buttons in their heads; numbers by `data-v`, where a cell without one comes last.
for (const table of document.querySelectorAll("table.sorted")) {
  const body = table.tBodies[0];
  for (const head of table.querySelectorAll("th[data-sort]")) {
    const button = html("button", { type: "button" }, head.textContent.trim());
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const numeric = head.dataset.sort === "number";
      const descending = head.ariaSort ? head.ariaSort === "ascending" : numeric;
      for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const column = head.cellIndex;
      const sign = descending ? -1 : 1;
      const keyed = [...body.rows].map((row) => {
        const cell = row.cells[column];
        const value = cell.dataset.v;
        return [numeric ? (value ? Number(value) : NaN) : cell.textContent.trim(), row];
      });
      keyed.sort(([one], [other]) => {
        if (!numeric) return sign * one.localeCompare(other, "en", { numeric: true });
        if (Number.isNaN(one) || Number.isNaN(other)) return Number.isNaN(one) - Number.isNaN(other);
        return sign * (one - other);
      });
      body.append(...keyed.map(([, row]) => row));
    });
  }
}

const filter = document.getElementById("filter");
if (filter) {
  const rows = [...document.getElementById("images").tBodies[0].rows];
  filter.addEventListener("input", () => {
    const wanted = filter.value.trim().toLowerCase();
    let count = 0;
    for (const row of rows) {
      row.hidden = !row.cells[0].textContent.toLowerCase().includes(wanted);
      count += !row.hidden;
    }
    document.getElementById("shown").textContent = wanted ? `${count} of ${rows.length} images` : "";
  });
}

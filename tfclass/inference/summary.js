"use strict";
// Tables can be sorted by a click on a heading, and filtered by what is typed; without this script they stand as they are.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], rows = [...body.rows];
  const value = (row, column) => {
    const text = row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
    const number = Number(text.replaceAll(",", ""));
    return text === "" || Number.isNaN(number) ? text.toLowerCase() : number;
  };
  const compare = (a, b) => {
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return typeof a === "number" ? a - b : a.localeCompare(b);
  };
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const falls = head.ariaSort === "ascending" || (head.ariaSort !== "descending" && head.dataset.falls !== undefined);
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.ariaSort = falls ? "descending" : "ascending";
      const sorted = rows.map((row) => [value(row, column), row]);
      // Empty cells stay at the end.
      sorted.sort(([a], [b]) => (a === "" || b === "" ? (a === "") - (b === "") : (falls ? -1 : 1) * compare(a, b)));
      body.append(...sorted.map(([, row]) => row));
    });
  });
  const box = document.getElementById(table.dataset.filter);
  if (!box) continue;
  const shown = box.querySelector("output");
  const text = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  box.hidden = false;
  box.querySelector("input").addEventListener("input", (event) => {
    const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
    let n = 0;
    for (const row of rows) {
      row.hidden = !words.every((word) => text.get(row).includes(word));
      n += !row.hidden;
    }
    shown.textContent = words.length ? `${n.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows` : "";
  });
}

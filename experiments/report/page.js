"use strict";
// A heading's button sorts its table; again, the other way. Empty cells stay last in both.
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => {
      const down = heading.getAttribute("aria-sort") === "ascending";
      const numbers = heading.classList.contains("number");
      const key = (row) => row.cells[column].dataset.key;
      const rows = [...body.rows].sort((first, second) => {
        const [a, b] = [key(first), key(second)];
        if (a === "" || b === "") return (a === "") - (b === "");
        const order = numbers ? Number(a.replace("inf", "Infinity")) - Number(b.replace("inf", "Infinity"))
          : a.localeCompare(b, "en", { numeric: true });
        return down ? -order : order;
      });
      body.append(...rows);
      headings.forEach((other) => other.setAttribute("aria-sort", "none"));
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    });
  });
}
// Paper cannot be opened with a click.
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});

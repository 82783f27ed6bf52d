// Keys of the page Review: j and k move, x ticks, c confirms, d dismisses the text with the focus.
"use strict";

const rows = [...document.querySelectorAll("#texts tr[data-text]")];

function current() {
  return rows.findIndex((row) => row.contains(document.activeElement));
}

function focus(index) {
  const row = rows[Math.max(0, Math.min(rows.length - 1, index))];
  row.querySelector("input, button").focus();
}

function isTyping(target) {
  return target.matches("textarea, select, input:not([type=checkbox])");
}

const keys = {
  j: () => focus(current() + 1),
  k: () => focus(current() - 1),
  x: (row) => row?.querySelector("input[type=checkbox]")?.click(),
  c: (row) => row?.querySelector("[data-act=confirm]")?.click(),
  d: (row) => row?.querySelector("[data-act=dismiss]")?.click(),
};

document.addEventListener("keydown", (event) => {
  if (!rows.length || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  const act = keys[event.key];
  if (act) {
    event.preventDefault();
    act(rows[current()]);
  }
});

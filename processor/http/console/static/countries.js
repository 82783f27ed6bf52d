// Adds the names of countries to their codes: the server knows codes only, browsers know both.
"use strict";

const names = new Intl.DisplayNames(["en"], { type: "region", fallback: "none" });
for (const element of document.querySelectorAll("[data-country]")) {
  const name = names.of(element.dataset.country);
  if (name) element.textContent = `${element.dataset.country} ${name}`;
}

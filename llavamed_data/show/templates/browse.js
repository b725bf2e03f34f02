"use strict";
const A_PAGE = 24;
const all = Array.from(document.querySelectorAll("article"), (card) => ({ card, text: card.textContent.toLowerCase() }));
const at = (id) => document.getElementById(id);
let shown = all;
let page = 1;

function show() {
  const last = Math.max(1, Math.ceil(shown.length / A_PAGE));
  page = Math.min(Math.max(page, 1), last);
  const here = new Set(shown.slice((page - 1) * A_PAGE, page * A_PAGE));
  for (const row of all) row.card.hidden = !here.has(row);
  at("page").textContent = `page ${page} of ${last}, ${shown.length} rows`;
  at("previous").disabled = page === 1;
  at("next").disabled = page === last;
}

function search() {
  const words = at("words").value.toLowerCase().split(/\s+/).filter(Boolean);
  const domain = at("domain").value;
  shown = all.filter(({ card, text }) => (!domain || card.dataset.domain === domain) && words.every((word) => text.includes(word)));
  page = 1;
  show();
}

function turn(by) {
  page += by;
  show();
  window.scrollTo(0, 0);
}

at("search").addEventListener("submit", (event) => event.preventDefault());
at("words").addEventListener("input", search);
at("domain").addEventListener("change", search);
at("previous").addEventListener("click", () => turn(-1));
at("next").addEventListener("click", () => turn(1));
show();

// Refreshes the list of jobs while the page is visible: often while a job is unfinished, else rarely.

import { announce, fetchPage, replacePart } from "./page.js";

const UNFINISHED_INTERVAL = 2000;
const IDLE_INTERVAL = 10000;

async function refresh() {
  try {
    const { status, page } = await fetchPage(location.href);
    if (status === 200) show(page);
  } catch {
    // Keep the list as it is; the next refresh may succeed.
  }
}

const boxesOf = (page) => [...page.querySelectorAll("#jobs [name=job]")];

/** Show the list as it is now; what the reader has selected stays selected. */
function show(page) {
  const selected = new Set(boxesOf(document).filter(({ checked }) => checked).map(({ value }) => value));
  for (const box of boxesOf(page)) box.toggleAttribute("checked", selected.has(box.value));
  for (const box of boxesOf(document)) box.toggleAttribute("checked", box.checked);
  replacePart("jobs", page);
  countSelected();
}

function countSelected() {
  const boxes = boxesOf(document);
  const number = boxes.filter(({ checked }) => checked).length;
  const all = document.getElementById("all-jobs");
  all.checked = number > 0 && number === boxes.length;
  all.indeterminate = number > 0 && !all.checked;
  document.getElementById("selected").textContent = number ? `${number} selected` : "";
}

addEventListener("change", ({ target }) => {
  if (target.type !== "checkbox") return;
  if (target.id === "all-jobs") for (const box of boxesOf(document)) box.checked = target.checked;
  countSelected();
  announce(document.getElementById("selected").textContent || "None selected");
});
// The browser restores what was selected when the reader comes back.
addEventListener("pageshow", countSelected);

function scheduleRefresh() {
  const hasUnfinished = "unfinished" in document.getElementById("jobs").dataset;
  setTimeout(async () => {
    if (!document.hidden) await refresh();
    scheduleRefresh();
  }, hasUnfinished ? UNFINISHED_INTERVAL : IDLE_INTERVAL);
}

document.addEventListener("visibilitychange", () => document.hidden || refresh());
scheduleRefresh();

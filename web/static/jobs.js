// Refreshes the list of jobs while the page is visible: often while a job is unfinished, else rarely.

import { fetchPage, replacePart } from "./page.js";

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

/** Show the list as it is now; what the reader has selected stays selected. */
function show(page) {
  const selected = new Set([...document.querySelectorAll("#jobs [name=job]:checked")].map(({ value }) => value));
  for (const box of page.querySelectorAll("#jobs [name=job]")) box.toggleAttribute("checked", selected.has(box.value));
  for (const box of document.querySelectorAll("#jobs [name=job]")) box.toggleAttribute("checked", box.checked);
  replacePart("jobs", page);
}

function scheduleRefresh() {
  const hasUnfinished = "unfinished" in document.getElementById("jobs").dataset;
  setTimeout(async () => {
    if (!document.hidden) await refresh();
    scheduleRefresh();
  }, hasUnfinished ? UNFINISHED_INTERVAL : IDLE_INTERVAL);
}

document.addEventListener("visibilitychange", () => document.hidden || refresh());
scheduleRefresh();

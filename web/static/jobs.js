// Refreshes the list of jobs while the page is visible: often while a job is unfinished, else rarely.

import { fetchPage, replacePart } from "./page.js";

const UNFINISHED_INTERVAL = 2000;
const IDLE_INTERVAL = 10000;

async function refresh() {
  try {
    const { status, page } = await fetchPage(location.href);
    if (status === 200) replacePart("jobs", page);
  } catch {
    // Keep the list as it is; the next refresh may succeed.
  }
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

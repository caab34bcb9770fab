// The list of jobs is looked at again while the page is seen: often while a job is under way, else now and then.

import { fetchPage, replacePart } from "./page.js";

const PAUSE_UNDER_WAY = 2000;
const PAUSE_AT_REST = 10000;

async function look() {
  try {
    const { status, page } = await fetchPage(location.href);
    if (status === 200) replacePart("jobs", page);
  } catch {
    // The list stands as it was; the next look may succeed.
  }
}

function wait() {
  const underWay = "unfinished" in document.getElementById("jobs").dataset;
  setTimeout(async () => {
    if (!document.hidden) await look();
    wait();
  }, underWay ? PAUSE_UNDER_WAY : PAUSE_AT_REST);
}

document.addEventListener("visibilitychange", () => document.hidden || look());
wait();

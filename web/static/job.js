// Follows a job: each server-sent event fetches the page again and replaces its parts. Where no events arrive, for
// example behind a proxy that buffers them, the page polls instead.

import { showGrid } from "./corrections.js";
import { formatNumber, formatPercent } from "./format.js";
import { announce, createElement, fetchPage, replacePart } from "./page.js";

const MIN_REFRESH_INTERVAL = 400;
const POLL_INTERVAL = 2000;
// The first event is sent at once; later ones only when something has changed.
const FIRST_EVENT_TIMEOUT = 3000;
const NEXT_EVENT_TIMEOUT = 30_000;
let source = null;
let pollTimer = null;
let eventTimeout = null;
let isRefreshing = false;
let hasChanged = false;

function follow() {
  const address = document.getElementById("job")?.dataset.events;
  if (!address) return;
  source = new EventSource(address);
  source.addEventListener("job", (event) => {
    stopPolling();
    if (JSON.parse(event.data).finished_at) source.close();
    else pollWithoutEvent(NEXT_EVENT_TIMEOUT);
    refresh();
  });
  source.addEventListener("error", startPolling);
  pollWithoutEvent(FIRST_EVENT_TIMEOUT);
}

function startPolling() {
  pollTimer ??= setInterval(refresh, POLL_INTERVAL);
}

/** Start polling if no event arrives within the timeout. */
function pollWithoutEvent(timeout) {
  eventTimeout = setTimeout(startPolling, timeout);
}

function stopPolling() {
  clearTimeout(eventTimeout);
  clearInterval(pollTimer);
  pollTimer = null;
}

/** Show the current state of the job; a change during a refresh causes one more. */
async function refresh() {
  hasChanged = true;
  if (isRefreshing) return;
  isRefreshing = true;
  while (hasChanged) {
    hasChanged = false;
    await fetchAndShow();
    await new Promise((resolve) => setTimeout(resolve, MIN_REFRESH_INTERVAL));
  }
  isRefreshing = false;
}

async function fetchAndShow() {
  try {
    show(await fetchPage(location.href));
  } catch {
    warn("Connection lost. The job continues; this page retries automatically.");
    startPolling();
  }
}

function show({ status, page }) {
  if (status >= 500) {
    warn("The service is temporarily unavailable. This page retries automatically.");
    startPolling();
    return;
  }
  document.getElementById("warning")?.remove();
  document.title = page.title;
  if (page.getElementById("job")?.dataset.events) {
    replacePart("job", page);
    return;
  }
  // The job has ended or is gone: show the rest of the page.
  source?.close();
  stopPolling();
  // Once more would discard what has been typed into the rejected rows since.
  hasChanged = false;
  const main = document.getElementById("main");
  const hadFocus = main.contains(document.activeElement);
  main.replaceChildren(...page.getElementById("main").childNodes);
  if (hadFocus) main.focus({ preventScroll: true });
  showGrid();
  announce((document.getElementById("job-state") ?? document.querySelector("h1")).textContent.replace(/\s+/g, " "));
}

function warn(text) {
  if (document.getElementById("warning")) return;
  document.getElementById("job").append(createElement("p", { id: "warning", className: "notice", textContent: text }));
  announce(text);
}

/** Count the rows on each side of the threshold; exact, as each position of the slider is the edge of a bin. */
function applyThreshold(slider) {
  const counts = { positive: 0, negative: 0 };
  for (const bar of document.querySelectorAll(".histogram [data-low]")) {
    const isPositive = Number(bar.dataset.low) >= slider.valueAsNumber / 100;
    bar.setAttribute("class", isPositive ? "up" : "down");
    counts[isPositive ? "positive" : "negative"] += Number(bar.dataset.count);
  }
  const scored = counts.positive + counts.negative;
  for (const prediction of document.querySelectorAll("[data-prediction]")) {
    const count = counts[prediction.dataset.prediction];
    prediction.querySelector("output").textContent = formatNumber(count);
    prediction.querySelector(".share").textContent = formatPercent(count / scored, 1);
  }
  document.getElementById("slider-value").textContent = `${slider.value}%`;
  slider.setAttribute("aria-valuetext", `${slider.value}%`);
  const threshold = document.getElementById("threshold");
  if (threshold) threshold.value = slider.valueAsNumber / 100;
}

document.addEventListener("input", ({ target }) => {
  if (target.id === "slider") applyThreshold(target);
});

// Creating a job from a large one takes a while, and a second click would create a second job.
document.addEventListener("submit", ({ target }) => {
  if (target.id !== "again") return;
  const button = target.querySelector("button");
  const label = button.textContent;
  button.disabled = true;
  button.textContent = "Creating job…";
  announce(button.textContent);
  // The browser may restore this page from its cache as it was left.
  window.addEventListener("pageshow", () => {
    button.disabled = false;
    button.textContent = label;
  }, { once: true });
});

follow();
showGrid();

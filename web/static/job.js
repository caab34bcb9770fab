// The page of a job follows the job: an event says that something has changed, and the page is fetched again and its
// parts are put in their places. Where the events do not come through, or a proxy holds them back, it looks every two
// seconds.

import { announce, fetchPage, grouped, make, percent, replacePart } from "./page.js";

const SHORTEST_PAUSE = 400;
const POLL_PAUSE = 2000;
// The first event comes at once; later ones only when something has changed.
const FIRST_EVENT_DUE = 3000;
const NEXT_EVENT_DUE = 30_000;
let source = null;
let polling = null;
let overdue = null;
let busy = false;
let changed = false;

function follow() {
  const address = document.getElementById("job")?.dataset.events;
  if (!address) return;
  source = new EventSource(address);
  source.addEventListener("job", (event) => {
    stopPolling();
    if (JSON.parse(event.data).finished_at) source.close();
    else pollAfter(NEXT_EVENT_DUE);
    refresh();
  });
  source.addEventListener("error", poll);
  pollAfter(FIRST_EVENT_DUE);
}

function poll() {
  polling ??= setInterval(refresh, POLL_PAUSE);
}

/** Poll when no event has come by then. */
function pollAfter(silence) {
  overdue = setTimeout(poll, silence);
}

function stopPolling() {
  clearTimeout(overdue);
  clearInterval(polling);
  polling = null;
}

/** Show the job as it is now; what changes while that is under way is shown after a pause. */
async function refresh() {
  changed = true;
  if (busy) return;
  busy = true;
  while (changed) {
    changed = false;
    await look();
    await new Promise((resolve) => setTimeout(resolve, SHORTEST_PAUSE));
  }
  busy = false;
}

async function look() {
  try {
    show(await fetchPage(location.href));
  } catch {
    warn("The connection is broken. This page tries again by itself; the job goes on meanwhile.");
    poll();
  }
}

function show({ status, page }) {
  if (status >= 500) {
    warn("The service does not answer just now. This page tries again by itself.");
    poll();
    return;
  }
  document.getElementById("warning")?.remove();
  document.title = page.title;
  if (page.getElementById("job")?.dataset.events) {
    replacePart("job", page);
    return;
  }
  // The job has ended, or is gone: nothing to follow any more, and the rest of the page is of interest.
  source?.close();
  stopPolling();
  const main = document.getElementById("main");
  const hadFocus = main.contains(document.activeElement);
  main.replaceChildren(...page.getElementById("main").childNodes);
  if (hadFocus) main.focus({ preventScroll: true });
  announce((document.getElementById("job-state") ?? document.querySelector("h1")).textContent.replace(/\s+/g, " "));
}

function warn(text) {
  if (document.getElementById("warning")) return;
  document.getElementById("job").append(make("p", { id: "warning", className: "notice", textContent: text }));
  announce(text);
}

/** Count the rows on each side of the threshold: exact, since the slider stops only where bins meet. */
function moveThreshold(slider) {
  const counts = { positive: 0, negative: 0 };
  for (const bar of document.querySelectorAll(".histogram [data-low]")) {
    const positive = Number(bar.dataset.low) >= slider.valueAsNumber / 100;
    bar.setAttribute("class", positive ? "up" : "down");
    counts[positive ? "positive" : "negative"] += Number(bar.dataset.count);
  }
  const scored = counts.positive + counts.negative;
  for (const output of document.querySelectorAll("[data-decision]")) {
    const count = counts[output.dataset.decision];
    output.textContent = grouped(count);
    output.nextElementSibling.textContent = `${percent(count / scored, 1)} of the scored rows`;
  }
  document.getElementById("slider-value").textContent = `${slider.value}%`;
  slider.setAttribute("aria-valuetext", `${slider.value}%`);
  const again = document.getElementById("threshold");
  if (again) again.value = slider.valueAsNumber / 100;
}

document.addEventListener("input", ({ target }) => {
  if (target.id === "slider") moveThreshold(target);
});

// Taking a large job's rows again takes a while; a second click would make a second job.
document.addEventListener("submit", ({ target }) => {
  if (target.id !== "again") return;
  const button = target.querySelector("button");
  const text = button.textContent;
  button.disabled = true;
  button.textContent = "Taking the rows again…";
  announce(button.textContent);
  // The browser may show this page again as it was left.
  window.addEventListener("pageshow", () => {
    button.disabled = false;
    button.textContent = text;
  }, { once: true });
});

follow();

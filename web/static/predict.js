// Predicts while the form is filled in. The server renders the result: the page that would follow is fetched, and its
// parts replace those of this page. Typed values are never overwritten.

import { announce, createElement, fetchPage, keepInPlace, replacePart } from "./page.js";

const TYPING_PAUSE = 250;
const RETRY_INTERVAL = 1000;
// A faster result needs no sign that it is on its way.
const PROGRESS_DELAY = 150;
const CONTROLS = "input, select, textarea";
const NUMBER = /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i;
// A feature may be called like a property of a form, which its field then hides: use no properties of the form.
const record = document.getElementById("record");
const form = document.getElementById("record-form");
// On narrow screens the result is below the form; this line keeps it in sight.
const follow = document.getElementById("follow");
const outcome = () => document.getElementById("outcome");
let typingTimer = null;
let request = null;
let progressTimer = null;

// The server's messages beside the fields replace those of the browser.
Element.prototype.setAttribute.call(form, "novalidate", "");

record.addEventListener("submit", (event) => {
  event.preventDefault();
  predict({ isSubmitted: true });
});
record.addEventListener("change", () => predict({}));
record.addEventListener("input", () => {
  clearTimeout(typingTimer);
  // A half-typed value is no error yet; "change" follows when the field is left.
  if (isComplete()) typingTimer = setTimeout(() => predict({}), TYPING_PAUSE);
});

function isComplete() {
  const numbers = [...record.querySelectorAll("[data-number]")];
  return !record.querySelector(".field :invalid") && numbers.every(({ value }) => !value || NUMBER.test(value));
}

/** Submit the form in a body, as texts may be too long for an address. */
function submit(signal) {
  return fetchPage(record.dataset.action, { method: "POST", body: new URLSearchParams(new FormData(form)), signal });
}

async function predict({ isSubmitted = false, address = null }) {
  clearTimeout(typingTimer);
  request?.abort();
  request = new AbortController();
  const { signal } = request;
  outcome().setAttribute("aria-busy", "true");
  clearTimeout(progressTimer);
  if (isSubmitted) progressTimer = setTimeout(scrollToOutcome, PROGRESS_DELAY);
  try {
    show(await (address ? fetchPage(address, { signal }) : submit(signal)), isSubmitted);
  } catch (error) {
    if (error.name === "AbortError") return;
    showFailure("Connection lost. Your input is still here.");
  }
  outcome().removeAttribute("aria-busy");
}

/** Bring the result into view, even before it has arrived. */
function scrollToOutcome() {
  stopProgress();
  showFollow(outcome().dataset.shortSummary ?? "Working…");
  if (!isOutcomeInView()) outcome().scrollIntoView({ block: "start" });
}

function stopProgress() {
  clearTimeout(progressTimer);
  progressTimer = null;
}

/** Whether the top of the result is in the upper third of the screen. */
function isOutcomeInView() {
  const { top } = outcome().getBoundingClientRect();
  return top >= 0 && top <= innerHeight / 3;
}

function showFollow(summary) {
  follow.hidden = !summary;
  if (summary) follow.textContent = `${summary}: see the result`;
}

function show({ status, page }, isSubmitted) {
  if (status === 202) {
    showFailure("The service is busy. The result will appear in a moment.", false);
    const address = page.getElementById("refresh").href;
    typingTimer = setTimeout(() => predict({ isSubmitted, address }), RETRY_INTERVAL);
    return;
  }
  if (!page.getElementById("record-form")) {
    showFailure([page.querySelector("h1"), page.querySelector(".lead")].map((e) => e?.textContent ?? "").join(". "));
    return;
  }
  // A field that the reader has gone on to stays where it is on the screen.
  const { activeElement } = document;
  const isInOtherField = record.contains(activeElement) && activeElement.matches(CONTROLS);
  const wasInView = isOutcomeInView();
  keepInPlace(isInOtherField ? activeElement : null, () => {
    showMessages(page);
    // With errors, the fetched page has no result, so that none is shown for other values than those in the form.
    replacePart("outcome", page);
  });
  document.title = page.title;
  const { summary, shortSummary } = outcome().dataset;
  showFollow(shortSummary);
  if (summary) {
    const link = document.getElementById("permalink");
    history.replaceState(null, "", link?.href ?? location.pathname);
    addCopyButton(link);
    announce(summary);
    // New messages in the form may have pushed the result out of view.
    if (isSubmitted && (progressTimer || (wasInView && !isInOtherField))) scrollToOutcome();
  } else if (isSubmitted && (progressTimer || !isInOtherField)) {
    record.querySelector("[aria-invalid]")?.focus();
  }
  stopProgress();
}

/** Show the errors and warnings beside the fields, and the summary of errors at the top. */
function showMessages(page) {
  const fresh = page.querySelectorAll("#record-form [data-field]");
  record.querySelectorAll("[data-field]").forEach((field, index) => {
    const [control, freshControl] = [field, fresh[index]].map((element) => element.querySelector(CONTROLS));
    field.className = fresh[index].className;
    field.querySelector(".error, .unusual")?.remove();
    const message = fresh[index].querySelector(".error, .unusual");
    if (message) (control.closest(".with-unit") ?? control).before(message);
    for (const name of ["aria-invalid", "aria-describedby"]) {
      if (freshControl.hasAttribute(name)) control.setAttribute(name, freshControl.getAttribute(name));
      else control.removeAttribute(name);
    }
  });
  replacePart("faults", page);
}

function showFailure(text, canRetry = true) {
  stopProgress();
  const parts = [
    createElement("h2", { id: "outcome-heading", textContent: "Result" }), createElement("p", { textContent: text }),
  ];
  if (canRetry) {
    const button = createElement("button", { type: "button", className: "button quiet", textContent: "Try again" });
    button.addEventListener("click", () => predict({ isSubmitted: true }));
    parts.push(createElement("p", {}, button));
  }
  outcome().replaceChildren(...parts);
  delete outcome().dataset.summary;
  delete outcome().dataset.shortSummary;
  showFollow(canRetry ? "No result" : "Working…");
  announce(text);
}

/** Add a button that copies the link, if the browser allows it. */
function addCopyButton(link) {
  if (!link || !navigator.clipboard || link.parentElement.querySelector("button")) return;
  const button = createElement("button", { type: "button", className: "as-link", textContent: "Copy link" });
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(link.href);
    button.textContent = "Link copied";
  });
  link.parentElement.append(" · ", button);
}

addCopyButton(document.getElementById("permalink"));

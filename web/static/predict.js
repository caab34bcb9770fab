// The quick form: the answer appears beside it and follows each change. The server makes the answer; here it is fetched
// as the page that would follow, and its parts are put in their places. The fields stay as they are, whatever happens.

import { announce, fetchPage, keepInPlace, make, replacePart } from "./page.js";

const TYPING_PAUSE = 250;
const LOOK_AGAIN = 1000;
// What comes sooner than this needs no sign that something is under way.
const SOON = 150;
const CONTROLS = "input, select, textarea";
const NUMBER = /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i;
// Fields may be called as properties of forms are, which a form then shows in their place: it is asked for none.
const record = document.getElementById("record");
const form = document.getElementById("record-form");
// On a phone the answer is below the form; this line keeps it in sight.
const follow = document.getElementById("follow");
const outcome = () => document.getElementById("outcome");
let typing = null;
let asking = null;
let waiting = null;

// The server says what is wrong, beside the field; the browser's own bubbles would hide that.
Element.prototype.setAttribute.call(form, "novalidate", "");

record.addEventListener("submit", (event) => {
  event.preventDefault();
  predict({ asked: true });
});
record.addEventListener("change", () => predict({}));
record.addEventListener("input", () => {
  clearTimeout(typing);
  // What is half typed is not worth an error yet; "change" comes when the field is left.
  if (isComplete()) typing = setTimeout(() => predict({}), TYPING_PAUSE);
});

function isComplete() {
  const numbers = [...record.querySelectorAll("[data-number]")];
  return !record.querySelector(".field :invalid") && numbers.every(({ value }) => !value || NUMBER.test(value));
}

/** Ask for the answer to what the form holds, in a body: texts may be longer than an address. */
function ask(signal) {
  return fetchPage(record.dataset.action, { method: "POST", body: new URLSearchParams(new FormData(form)), signal });
}

async function predict({ asked = false, at = null }) {
  clearTimeout(typing);
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  outcome().setAttribute("aria-busy", "true");
  clearTimeout(waiting);
  if (asked) waiting = setTimeout(seeOutcome, SOON);
  try {
    show(await (at ? fetchPage(at, { signal }) : ask(signal)), asked);
  } catch (error) {
    if (error.name === "AbortError") return;
    showTrouble("The service cannot be reached. What you typed is still here.");
  }
  outcome().removeAttribute("aria-busy");
}

/** Bring the result into view, whether it is there yet or on its way; where it stands beside the form, it is. */
function seeOutcome() {
  clearTimeout(waiting);
  waiting = null;
  showFollow(outcome().dataset.answer ?? "Working…");
  if (!isSeen()) outcome().scrollIntoView({ block: "start" });
}

/** Whether the head of the result is where a person looks. */
function isSeen() {
  const { top } = outcome().getBoundingClientRect();
  return top >= 0 && top <= innerHeight / 3;
}

function showFollow(answer) {
  follow.hidden = !answer;
  if (answer) follow.textContent = `${answer.replace(" probability", "")}: see the result`;
}

function show({ status, page }, asked) {
  if (status === 202) {
    showTrouble("The service is busy; the result will be here in a moment.", false);
    typing = setTimeout(() => predict({ asked, at: page.querySelector("[data-again]").href }), LOOK_AGAIN);
    return;
  }
  if (!page.getElementById("record-form")) {
    showTrouble([page.querySelector("h1"), page.querySelector(".lead")].map((e) => e?.textContent ?? "").join(". "));
    return;
  }
  // Where a person has gone on to another field meanwhile, that one stays under their eyes.
  const { activeElement } = document;
  const isElsewhere = record.contains(activeElement) && activeElement.matches(CONTROLS);
  const wasSeen = isSeen();
  keepInPlace(isElsewhere ? activeElement : null, () => {
    showFields(page);
    // An answer to other values than those in the form would mislead: with faults, the page has none.
    replacePart("outcome", page);
  });
  document.title = page.title;
  const { answer } = outcome().dataset;
  showFollow(answer);
  if (answer) {
    const link = document.getElementById("permalink");
    history.replaceState(null, "", link?.href ?? location.pathname);
    offerCopy(link);
    announce(answer);
    // A long answer beside the end of a form is pushed up by it.
    if (asked && (waiting || (wasSeen && !isElsewhere))) seeOutcome();
  } else if (asked && (waiting || !isElsewhere)) {
    record.querySelector("[aria-invalid]")?.focus();
  }
  clearTimeout(waiting);
  waiting = null;
}

/** What is wrong or unusual, beside each field, and what is wrong in the summary on top. */
function showFields(page) {
  const fresh = page.querySelectorAll("#record-form [data-field]");
  record.querySelectorAll("[data-field]").forEach((field, place) => {
    const [control, judged] = [field, fresh[place]].map((found) => found.querySelector(CONTROLS));
    field.className = fresh[place].className;
    field.querySelector(".error, .unusual")?.remove();
    const words = fresh[place].querySelector(".error, .unusual");
    if (words) (control.closest(".with-unit") ?? control).before(words);
    for (const name of ["aria-invalid", "aria-describedby"]) {
      if (judged.hasAttribute(name)) control.setAttribute(name, judged.getAttribute(name));
      else control.removeAttribute(name);
    }
  });
  replacePart("faults", page);
}

function showTrouble(text, again = true) {
  clearTimeout(waiting);
  waiting = null;
  const parts = [make("h2", { id: "outcome-heading", textContent: "Result" }), make("p", { textContent: text })];
  if (again) {
    const button = make("button", { type: "button", className: "button quiet", textContent: "Try again" });
    button.addEventListener("click", () => predict({ asked: true }));
    parts.push(make("p", {}, button));
  }
  outcome().replaceChildren(...parts);
  delete outcome().dataset.answer;
  showFollow(again ? "No result" : "Working…");
  announce(text);
}

/** A button that copies the link, where the browser allows it. */
function offerCopy(link) {
  if (!link || !navigator.clipboard || link.parentElement.querySelector("button")) return;
  const button = make("button", { type: "button", className: "as-link", textContent: "Copy it" });
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(link.href);
    button.textContent = "Copied";
  });
  link.parentElement.append(" ", button);
}

offerCopy(document.getElementById("permalink"));

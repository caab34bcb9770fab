// The quick form: the answer appears beside it and follows each change. The server makes the answer; here it is fetched
// as the page that would follow, and its parts are put in their places. The fields stay as they are, whatever happens.

import { announce, fetchPage, make, replacePart } from "./page.js";

const TYPING_PAUSE = 250;
const LOOK_AGAIN = 1000;
const form = document.getElementById("record-form");
// On a phone the answer is below the form; this line keeps it in sight.
const follow = document.getElementById("follow");
let typing = null;
let asking = null;
let answered = Boolean(document.getElementById("outcome").dataset.answer);

// The server says what is wrong, beside the field; the browser's own bubbles would hide that.
form.noValidate = true;

form.addEventListener("submit", (event) => {
  event.preventDefault();
  predict({ asked: true });
});
form.addEventListener("change", () => predict({}));
form.addEventListener("input", () => {
  clearTimeout(typing);
  // What is half typed is not worth an error yet; "change" comes when the field is left.
  if (form.checkValidity()) typing = setTimeout(() => predict({}), TYPING_PAUSE);
});

/** The address of the form with its values. */
function address() {
  const [path] = form.getAttribute("action").split("#");
  return `${path}?${new URLSearchParams(new FormData(form))}`;
}

async function predict({ asked = false, at = address() }) {
  clearTimeout(typing);
  asking?.abort();
  asking = new AbortController();
  try {
    show(await fetchPage(at, { signal: asking.signal }), asked);
  } catch (error) {
    if (error.name !== "AbortError") showTrouble("The service cannot be reached. What you typed is still here.");
  }
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
  showFaults(page);
  // An answer to other values than those in the form would mislead: with faults, the page has none.
  replacePart("outcome", page);
  document.title = page.title;
  const { answer } = document.getElementById("outcome").dataset;
  follow.hidden = !answer;
  if (answer) {
    const link = document.getElementById("permalink");
    if (link) history.replaceState(null, "", link.href);
    offerCopy(link);
    announce(answer);
    follow.textContent = `${answer.replace(" probability", "")}: see why`;
    if (asked && !answered) document.getElementById("outcome").scrollIntoView({ block: "nearest" });
    answered = true;
  } else if (asked) {
    form.querySelector("[aria-invalid]")?.focus();
  }
}

/** What is wrong, beside each field and in the summary on top. */
function showFaults(page) {
  for (const field of form.querySelectorAll("[data-field]")) {
    const fresh = page.querySelector(`#record-form [data-field="${CSS.escape(field.dataset.field)}"]`);
    const [control, judged] = [field, fresh].map((place) => place.querySelector("input, select"));
    field.className = fresh.className;
    field.querySelector(".error")?.remove();
    const error = fresh.querySelector(".error");
    if (error) (control.closest(".with-unit") ?? control).before(error);
    for (const name of ["aria-invalid", "aria-describedby"]) {
      if (judged.hasAttribute(name)) control.setAttribute(name, judged.getAttribute(name));
      else control.removeAttribute(name);
    }
  }
  replacePart("faults", page);
}

function showTrouble(text, again = true) {
  const outcome = document.getElementById("outcome");
  const parts = [make("h2", { id: "outcome-heading", textContent: "Result" }), make("p", { textContent: text })];
  if (again) {
    const button = make("button", { type: "button", className: "button quiet", textContent: "Try again" });
    button.addEventListener("click", () => predict({ asked: true }));
    parts.push(make("p", {}, button));
  }
  outcome.replaceChildren(...parts);
  announce(text);
}

/** A button that copies the link, where the browser allows it. */
function offerCopy(link) {
  if (!link || !navigator.clipboard) return;
  const button = make("button", { type: "button", className: "as-link", textContent: "Copy it" });
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(link.href);
    button.textContent = "Copied";
  });
  link.parentElement.append(" ", button);
}

offerCopy(document.getElementById("permalink"));

// The upload: a file is looked at before it is sent (its first bytes, by the service), sent with its progress shown, and
// the job's page takes over. Without JavaScript the form does the same in one step.

import { announce, duration, make, percent, size } from "./page.js";
import { problemOf, sentence, showPreview } from "./preview.js";

const SAMPLE_BYTES = 64 * 1024;
const form = document.getElementById("upload-form");
const input = document.getElementById("file");
// Only a model that decides by a threshold has a field for one.
const threshold = document.getElementById("threshold");
const place = document.getElementById("preview");
const title = document.title;
// What went wrong and what to do next, by the code of a problem.
const problemWords = JSON.parse(form.dataset.problemWords);
let checking = null;
let refused = false;
let sending = null;
let key = null;

// What is wrong is said beside the field, as everywhere; the browser's own bubbles go by themselves.
form.noValidate = true;

input.addEventListener("change", () => { checking = check(); });
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  await checking;
  const fault = faultOfForm();
  if (fault) fault.focus();
  else if (refused) place.focus();
  else send();
});
document.getElementById("try-sample").addEventListener("click", trySample);

// A file may be dropped anywhere on the page; the browser would otherwise leave the page to show it.
document.addEventListener("dragover", (event) => {
  if (!event.dataTransfer.types.includes("Files")) return;
  event.preventDefault();
  form.classList.add("dropping");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) form.classList.remove("dropping");
});
document.addEventListener("drop", (event) => {
  form.classList.remove("dropping");
  if (!event.dataTransfer.files.length) return;
  event.preventDefault();
  if (sending) return;
  if (event.dataTransfer.files.length > 1) showError("file", "One file at a time. Drop a single CSV file.");
  else choose(event.dataTransfer.files[0]);
});

/** Choose a file that was not chosen in the form, and show what it holds: the reader may be elsewhere on the page. */
async function choose(file) {
  const chosen = new DataTransfer();
  chosen.items.add(file);
  input.files = chosen.files;
  checking = check();
  await checking;
  place.scrollIntoView({ block: "nearest" });
}

/** The first control of the form that is not filled in right, each with what is wrong beside it; null if all are. */
function faultOfForm() {
  const chosen = input.files.length > 0;
  const isShare = !threshold || (threshold.value.trim() !== "" && threshold.validity.valid);
  if (threshold) showError("threshold", isShare ? null : problemWords.bad_threshold[1]);
  if (!chosen) showError("file", "Choose a CSV file, or try the sample file.");
  if (!isShare) return threshold;
  return chosen ? null : input;
}

async function trySample({ currentTarget }) {
  try {
    const answer = await fetch(currentTarget.dataset.address);
    choose(new File([await answer.blob()], "sample.csv", { type: "text/csv" }));
  } catch {
    offerAgain("The sample could not be fetched.", "The service cannot be reached.", () => currentTarget.click());
  }
}

function request(file) {
  const isGzip = file.name.toLowerCase().endsWith(".gz");
  const fields = [...new FormData(form)].filter(([, value]) => typeof value === "string");
  const query = new URLSearchParams([...fields, ["filename", file.name]]);
  const headers = { "Content-Type": "text/csv", ...(isGzip && { "Content-Encoding": "gzip" }) };
  return { query, headers, isGzip };
}

/** Let the service look at the first bytes, and show what it sees. */
async function check() {
  const [file] = input.files;
  showError("file", null);
  refused = false;
  place.replaceChildren();
  if (!file) return;
  place.append(make("p", { textContent: `Looking at the first rows of ${file.name}…` }));
  const { query, headers, isGzip } = request(file);
  query.delete("threshold");
  const body = file.slice(0, SAMPLE_BYTES);
  try {
    const answer = await fetch(`${form.dataset.preflight}?${query}`, { method: "POST", headers, body });
    const found = await answer.json();
    if (file !== input.files[0]) return;
    if (answer.ok) {
      const whole = !isGzip && file.size <= SAMPLE_BYTES;
      refuse(showPreview(place, { file, whole, found, ...words() }));
    } else {
      showProblem(answer.status, found, () => { checking = check(); });
    }
  } catch {
    offerAgain("The file could not be looked at", "The service cannot be reached, or the file cannot be read any more.",
      () => { checking = check(); });
  }
}

function words() {
  return { titles: JSON.parse(form.dataset.features), faultWords: JSON.parse(form.dataset.faultWords) };
}

/** Remember why the file cannot be sent, if it cannot, and say it beside the field. */
function refuse(why) {
  refused = Boolean(why);
  showError("file", why);
  announce(why ?? "The file can be scored. What it holds is shown under the form.");
}

function send() {
  const [file] = input.files;
  const { query, headers } = request(file);
  const call = new XMLHttpRequest();
  const progress = showProgress(file, () => call.abort());
  call.open("POST", `${form.dataset.jobs}?${query}`);
  for (const [name, value] of Object.entries({ ...headers, "Idempotency-Key": keyFor(file, query) })) {
    call.setRequestHeader(name, value);
  }
  call.upload.addEventListener("progress", ({ loaded }) => progress(loaded));
  call.upload.addEventListener("load", () => { key.sentWhole = true; });
  call.addEventListener("load", () => {
    finish();
    const answer = read(call.responseText);
    if (call.status < 300 && answer) {
      location.assign(answer.links.page);
      return;
    }
    if (call.status < 500 && answer?.code !== "still_uploading") key = null;
    showProblem(call.status, answer, send);
  });
  call.addEventListener("abort", () => {
    finish();
    offerAgain("The upload was canceled", "Nothing was stored.", send);
  });
  call.addEventListener("error", () => {
    finish();
    offerAgain("The connection broke off", "The file is still chosen, and the same file is never scored twice.", send);
  });
  sending = call;
  form.inert = true;
  window.addEventListener("beforeunload", keepPage);
  call.send(file);
}

/** One key for each attempt at the same upload, so that an answer that was lost does not make a second job. Of a file
 * that was not sent to its end no job can have come, and the service may still wait for the rest under the old key. */
function keyFor(file, query) {
  const what = `${file.size} ${file.lastModified} ${query}`;
  if (key?.what !== what || !key.sentWhole) {
    const random = crypto.getRandomValues(new Uint32Array(4));
    key = { what, value: Array.from(random, (part) => part.toString(16).padStart(8, "0")).join("") };
  }
  return key.value;
}

function finish() {
  sending = null;
  form.inert = false;
  document.title = title;
  window.removeEventListener("beforeunload", keepPage);
}

function keepPage(event) {
  event.preventDefault();
}

function read(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** The progress of an upload; answers a function that takes the bytes sent so far. */
function showProgress(file, cancel) {
  const began = performance.now();
  const bar = make("progress", { max: file.size, value: 0, ariaLabel: "Upload" });
  const share = make("span", { textContent: "0%" });
  const detail = make("p", { className: "hint", textContent: "Starting…" });
  const button = make("button", { type: "button", className: "button quiet", textContent: "Cancel the upload" });
  button.addEventListener("click", cancel);
  place.replaceChildren(
    make("h3", { textContent: `Uploading ${file.name}` }), make("p", { className: "meter" }, bar, share), detail, button,
  );
  button.focus();
  announce(`Uploading ${file.name}`);
  return (sent) => {
    const seconds = (performance.now() - began) / 1000;
    bar.value = sent;
    share.textContent = percent(Math.floor((100 * sent) / file.size) / 100);
    document.title = `${share.textContent} uploaded – ${file.name}`;
    const rest = ((file.size - sent) * seconds) / sent;
    const left = seconds > 1 && rest >= 1 ? `, about ${duration(rest)} left` : "";
    detail.textContent = sent >= file.size
      ? "All sent; the service stores the last rows. Scoring has begun already."
      : `${size(sent)} of ${size(file.size)}, ${size(sent / seconds)} a second${left}.`;
  };
}

/** A refusal of the service, beside the field it concerns; what may pass by itself can be tried again. */
function showProblem(status, problem, again) {
  const words = problemWords[problem?.code];
  if (status === 409 || status === 429 || status >= 500 || !problem) {
    const [heading, step] = words ?? ["The service cannot take the file just now", problem?.detail ?? "Try again."];
    offerAgain(heading, step, again);
    return;
  }
  refused = problem.code !== "bad_threshold" || !threshold;
  if (refused) showError("file", sentence(problem.detail));
  else showError("threshold", words[1]);
  place.replaceChildren(problemOf(problem, words ?? [problem.title, "Choose another file, or correct this one."]));
  place.focus();
}

function offerAgain(heading, detail, again) {
  const button = make("button", { type: "button", className: "button", textContent: "Try again" });
  button.addEventListener("click", again);
  place.replaceChildren(
    make("div", { className: "summary" },
      make("h3", { textContent: heading }), make("p", { textContent: detail }), make("p", {}, button)),
  );
  announce(`${heading}. ${detail}`);
  button.focus();
}

/** What is wrong with a field of the upload, beside it; null when nothing is any more. */
function showError(name, text) {
  const field = form.querySelector(`[data-field="${name}"]`);
  const control = field.querySelector("input");
  field.querySelector(".error")?.remove();
  field.classList.toggle("wrong", Boolean(text));
  control.setAttribute("aria-describedby", text ? `${name}-hint ${name}-error` : `${name}-hint`);
  if (!text) {
    control.removeAttribute("aria-invalid");
    return;
  }
  control.setAttribute("aria-invalid", "true");
  const error = make("p", { id: `${name}-error`, className: "error" });
  error.append(make("span", { className: "sr", textContent: "Error: " }), text);
  control.before(error);
}

threshold?.addEventListener("input", () => showError("threshold", null));

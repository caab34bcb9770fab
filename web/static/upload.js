// Uploads a file: the service checks its first bytes for a preview, then the file is sent with a progress bar, and the
// page of the job opens. Without JavaScript the form uploads in one step.

import { asSentence, formatDuration, formatProgress, formatSize } from "./format.js";
import { announce, createElement, ownPageHeader } from "./page.js";
import { problemSummary, showPreview } from "./preview.js";

const form = document.getElementById("upload-form");
const sampleBytes = Number(form.dataset.sampleBytes);
const checkedBytes = Number(form.dataset.checkedBytes);
// Files that are checked as a whole, if they are small; of others, the first bytes are enough.
const WHOLE_FILES = /\.(xlsx|xls|ods|parquet|arrows?|feather|jsonl|ndjson)(\.gz)?$/i;
const input = document.getElementById("file");
const sheet = document.getElementById("sheet");
// Only models that decide by a threshold have this field.
const threshold = document.getElementById("threshold");
const preview = document.getElementById("preview");
const title = document.title;
const texts = JSON.parse(form.dataset.texts);
let check = null;
let isRefused = false;
let upload = null;
let idempotencyKey = null;

// Messages beside the fields replace those of the browser.
form.noValidate = true;

input.addEventListener("change", () => {
  sheet.value = "";
  startCheck();
});
sheet.addEventListener("change", startCheck);
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  await check;
  const invalid = firstInvalidControl();
  if (invalid) invalid.focus();
  else if (isRefused) preview.focus();
  else send();
});
// The options say how the file is read, so the preview changes with them.
document.getElementById("upload-options").addEventListener("change", () => { if (input.files.length) startCheck(); });
document.getElementById("try-sample").addEventListener("click", trySample);

// Accept a dropped file anywhere on the page; otherwise the browser would leave the page to show it.
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
  if (upload) return;
  if (event.dataTransfer.files.length > 1) showError("file", "Only one file at a time. Drop a single file.");
  else choose(event.dataTransfer.files[0]);
});

/** Choose a file for the form and scroll to its preview. */
async function choose(file) {
  const chosen = new DataTransfer();
  chosen.items.add(file);
  input.files = chosen.files;
  sheet.value = "";
  await startCheck();
  preview.scrollIntoView({ block: "nearest" });
}

/** Show the errors of the form; returns the first invalid control, or null. */
function firstInvalidControl() {
  const hasFile = input.files.length > 0;
  const isValidThreshold = !threshold || (threshold.value.trim() !== "" && threshold.validity.valid);
  if (threshold) showError("threshold", isValidThreshold ? null : texts.problems.bad_threshold[1]);
  if (!hasFile) showError("file", "Choose a file, or try the sample file.");
  if (!isValidThreshold) return threshold;
  return hasFile ? null : input;
}

async function trySample({ currentTarget }) {
  try {
    const response = await fetch(currentTarget.dataset.address);
    choose(new File([await response.blob()], "sample.csv", { type: "text/csv" }));
  } catch {
    offerRetry("The sample could not be loaded", "Connection lost.", () => currentTarget.click());
  }
}

function requestOf(file) {
  const isGzip = file.name.toLowerCase().endsWith(".gz");
  const fields = [...new FormData(form)].filter(([, value]) => typeof value === "string");
  const query = new URLSearchParams([...fields, ["filename", file.name]]);
  const type = WHOLE_FILES.test(file.name) ? "application/octet-stream" : "text/csv";
  const headers = { "Content-Type": type, ...(isGzip && { "Content-Encoding": "gzip" }), ...ownPageHeader() };
  return { query, headers };
}

function startCheck() {
  check = checkFile();
  return check;
}

/** Have the service check the first bytes of the chosen file, and show the preview. */
async function checkFile() {
  const [file] = input.files;
  showError("file", null);
  isRefused = false;
  preview.replaceChildren();
  if (!file) return;
  preview.append(createElement("p", { textContent: `Checking the first rows of ${file.name}…` }));
  const { query, headers } = requestOf(file);
  query.delete("threshold");
  if (file.size <= sampleBytes) query.set("whole", "true");
  // One byte more than is checked tells that a file is too large for it.
  const body = file.slice(0, WHOLE_FILES.test(file.name) ? checkedBytes + 1 : sampleBytes);
  try {
    const response = await fetch(`${form.dataset.preflight}?${query}`, { method: "POST", headers, body });
    const report = await response.json();
    if (file !== input.files[0]) return;
    if (response.ok) {
      setObstacle(showPreview(preview, { file, report, texts, dropResults, chooseSheet }));
    } else {
      showProblem(response.status, report, startCheck);
    }
  } catch {
    offerRetry("The file could not be checked", "Connection lost, or the file can no longer be read.", startCheck);
  }
}

/** Drop the columns of earlier results from the file, or keep them. */
function dropResults(isWanted) {
  document.getElementById("option-drop-results").checked = isWanted;
  document.getElementById("upload-options").open = true;
  startCheck();
}

/** Read another sheet of the workbook. */
function chooseSheet(name) {
  sheet.value = name;
  startCheck();
}

/** Remember and show why the file cannot be uploaded; null if it can. */
function setObstacle(obstacle) {
  isRefused = Boolean(obstacle);
  showError("file", obstacle);
  announce(obstacle ?? "The file can be scored. A preview is shown below the form.");
}

function send() {
  const [file] = input.files;
  const { query, headers } = requestOf(file);
  // Unlike fetch, it reports the progress of an upload.
  const call = new XMLHttpRequest();
  const showSent = showProgress(file, () => call.abort());
  call.open("POST", `${form.dataset.jobs}?${query}`);
  for (const [name, value] of Object.entries({ ...headers, "Idempotency-Key": keyFor(file, query) })) {
    call.setRequestHeader(name, value);
  }
  call.upload.addEventListener("progress", ({ loaded }) => showSent(loaded));
  call.upload.addEventListener("load", () => { idempotencyKey.isSent = true; });
  call.addEventListener("load", () => {
    finish();
    const answer = parseJson(call.responseText);
    if (call.status < 300 && answer) {
      location.assign(answer.links.page);
      return;
    }
    if (call.status < 500 && answer?.code !== "still_uploading") idempotencyKey = null;
    showProblem(call.status, answer, send);
  });
  call.addEventListener("abort", () => {
    finish();
    offerRetry("Upload canceled", "Nothing was stored.", send);
  });
  call.addEventListener("error", () => {
    finish();
    offerRetry("Connection lost", "The file is still selected. Trying again will not create a second job.", send);
  });
  upload = call;
  form.inert = true;
  window.addEventListener("beforeunload", confirmLeaving);
  call.send(file);
}

/** The idempotency key of an upload. A retry uses the same one, so that a lost response does not create a second job;
 * but not if the file was not sent completely: no job was created, and the service may still wait for the rest. */
function keyFor(file, query) {
  const identity = `${file.size} ${file.lastModified} ${query}`;
  if (idempotencyKey?.identity !== identity || !idempotencyKey.isSent) {
    const random = crypto.getRandomValues(new Uint32Array(4));
    const value = Array.from(random, (part) => part.toString(16).padStart(8, "0")).join("");
    idempotencyKey = { identity, value, isSent: false };
  }
  return idempotencyKey.value;
}

function finish() {
  upload = null;
  form.inert = false;
  document.title = title;
  window.removeEventListener("beforeunload", confirmLeaving);
}

function confirmLeaving(event) {
  event.preventDefault();
}

function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Show the progress of an upload; returns a function that takes the number of bytes sent so far. */
function showProgress(file, cancel) {
  const start = performance.now();
  const bar = createElement("progress", { max: file.size, value: 0, ariaLabel: "Upload" });
  const share = createElement("span", { textContent: "0%" });
  const detail = createElement("p", { className: "hint", textContent: "Starting…" });
  const button = createElement("button", { type: "button", className: "button quiet", textContent: "Cancel upload" });
  button.addEventListener("click", cancel);
  preview.replaceChildren(
    createElement("h3", { textContent: `Uploading ${file.name}` }),
    createElement("p", { className: "meter" }, bar, share),
    detail,
    button,
  );
  button.focus();
  announce(`Uploading ${file.name}`);
  return (sent) => {
    const seconds = (performance.now() - start) / 1000;
    bar.value = sent;
    share.textContent = formatProgress(sent / file.size);
    document.title = `${share.textContent} uploaded – ${file.name}`;
    const remaining = ((file.size - sent) * seconds) / sent;
    const eta = seconds > 1 && remaining >= 1 ? `, about ${formatDuration(remaining)} left` : "";
    detail.textContent = sent >= file.size
      ? "Upload complete; saving. Scoring has already started."
      : `${formatSize(sent)} of ${formatSize(file.size)}, ${formatSize(sent / seconds)} per second${eta}.`;
  };
}

/** Show a problem document beside the field that it is about; offer a retry if it may be temporary. */
function showProblem(status, problem, retry) {
  const known = texts.problems[problem?.code];
  if (status === 409 || status === 429 || status >= 500 || !problem) {
    const [heading, nextStep] = known ?? ["The service is temporarily unavailable", problem?.detail ?? "Try again."];
    offerRetry(heading, nextStep, retry);
    return;
  }
  isRefused = problem.code !== "bad_threshold" || !threshold;
  if (isRefused) showError("file", asSentence(problem.detail));
  else showError("threshold", known[1]);
  preview.replaceChildren(problemSummary(problem, known ?? [problem.title, "Correct the file or choose another one."]));
  preview.focus();
}

function offerRetry(heading, detail, retry) {
  const button = createElement("button", { type: "button", className: "button", textContent: "Try again" });
  button.addEventListener("click", retry);
  preview.replaceChildren(
    createElement("div", { className: "summary" },
      createElement("h3", { textContent: heading }),
      createElement("p", { textContent: detail }),
      createElement("p", {}, button)),
  );
  announce(`${heading}. ${detail}`);
  button.focus();
}

/** Show the error of a field of the form, or remove it if the text is null. */
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
  const error = createElement("p", { id: `${name}-error`, className: "error" });
  error.append(createElement("span", { className: "sr", textContent: "Error: " }), text);
  control.before(error);
}

threshold?.addEventListener("input", () => showError("threshold", null));

// What a file would meet, before it is uploaded: its columns, what is wrong with its first rows, some predictions.

import { grouped, make, percent, size } from "./page.js";

const DELIMITERS = { ",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar" };
const MOST_COLUMNS = 40;

/** Show the preview in its place; answers why the file cannot be uploaded, or null. */
export function showPreview(place, { file, whole, found, titles, faultWords }) {
  const why = whyNot(found, whole);
  place.replaceChildren(
    make("h3", { textContent: why ? "This file cannot be scored as it is" : "This is how the file is read" }),
    make("p", { textContent: facts(file, whole, found) }),
    ...(why ? [make("p", { className: "error", textContent: why })] : []),
    columnTable(found, titles),
    ...faultList(found, titles, faultWords),
    ...exampleTable(found, titles),
    why ? make("p", { textContent: "Correct the file and choose it again. Nothing of it was stored." }) : sendButton(file),
  );
  return why;
}

/** A problem of the API as an element, under the words for it: what went wrong, and what to do next. */
export function problemOf(problem, [heading, step]) {
  const details = (problem.errors ?? []).filter((error) => error.detail !== problem.detail || error.did_you_mean);
  const items = details.map((error) => make("li", {},
    `${error.row ? `Row ${grouped(error.row)}: ` : ""}${sentence(error.detail)}`,
    error.did_you_mean ? ` The file has “${error.did_you_mean}”: did you mean that one?` : ""));
  return make("div", { className: "summary" },
    make("h3", { textContent: heading }),
    make("p", { textContent: sentence(problem.detail) }),
    ...(items.length ? [make("ul", {}, ...items)] : []),
    make("p", { textContent: step }));
}

export function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?…]$/.test(text) ? "" : ".");
}

function whyNot(found, whole) {
  const missing = found.missing_columns.map(({ name, did_you_mean: meant }) =>
    meant ? `“${name}” (the file has “${meant}”: did you mean that one?)` : `“${name}”`);
  if (missing.length) return `${missing.length === 1 ? "A column is" : "Columns are"} missing: ${missing.join(", ")}.`;
  const twice = found.columns.filter((column) => column.note).map((column) => `“${column.header}”`);
  if (twice.length) return `A second column for the same thing: ${twice.join(", ")}. Remove or rename it.`;
  return whole && !found.rows_seen ? "The file has a header row, but no rows under it." : null;
}

function facts(file, whole, found) {
  const rows = found.rows_seen ? `; ${grouped(found.rows_seen)} ${whole ? "rows" : "rows looked at"}` : "";
  const delimiter = DELIMITERS[found.delimiter] ?? found.delimiter;
  return `${file.name}, ${size(file.size)}; ${found.encoding}, fields separated by ${delimiter}${rows}.`;
}

function columnTable(found, titles) {
  const meant = new Map(found.missing_columns.map(({ name, did_you_mean: header }) => [header, name]));
  const shown = found.columns.slice(0, MOST_COLUMNS);
  const rows = shown.map((column) => [column.header, ...useOf(column, meant, titles)]);
  for (const { name, did_you_mean: header } of found.missing_columns) {
    if (!header) rows.push(["none", "wrong", `Missing: ${titles[name]} (${name})`]);
  }
  const more = found.columns.length - shown.length;
  if (more > 0) rows.push([`${grouped(more)} more`, "", "Further columns"]);
  return table("Columns of the file", ["Column in the file", "What it is"], rows.map(([header, state, words]) =>
    make("tr", { className: state }, make("th", { scope: "row" }, make("code", { textContent: header })),
      make("td", { textContent: words }))), "mapping");
}

function useOf(column, meant, titles) {
  if (meant.has(column.header)) {
    const name = meant.get(column.header);
    return ["wrong", `Misspelt? The model needs ${titles[name]}, “${name}”`];
  }
  if (column.note) return ["wrong", column.note];
  return column.feature ? ["", titles[column.feature]] : ["extra", "Not used; comes back unchanged"];
}

function faultList(found, titles, faultWords) {
  if (!found.faults.length) return [];
  const items = found.faults.map(({ code, column, count }) => make("li", {},
    `${column ? titles[column] ?? column : "The row"} ${faultWords[code] ?? code}: `,
    `${grouped(count)} of ${grouped(found.rows_seen)} rows`));
  return [
    make("h4", { textContent: "Rows that would be rejected" }),
    make("p", { textContent: "They stand in the results with their reason; the other rows are scored." }),
    make("ul", {}, ...items),
  ];
}

function exampleTable(found, titles) {
  if (!found.examples.length) return [];
  const features = Object.keys(found.examples[0].record);
  // What is predicted, of several targets for each, and the scores beside it.
  const answers = Object.keys(found.examples[0]).filter((name) => !["row", "record", "error"].includes(name));
  const rows = found.examples.map((example) => make("tr", { className: example.error ? "rejected" : "" },
    make("td", { className: "number", textContent: grouped(example.row) }),
    ...(example.error
      ? [make("td", { className: "added", colSpan: answers.length, textContent: reason(example.error, titles) })]
      : answers.map((name) => make("td", { className: "added", textContent: score(name, example[name]) }))),
    ...features.map((name) => make("td", { textContent: example.record[name] }))));
  return [table("The first rows with their predictions",
    ["Row", ...answers.map((name) => sentenceCase(name)), ...features.map((name) => titles[name])], rows)];
}

function score(name, value) {
  return name.startsWith("probability") ? percent(value, 2) : String(value ?? "");
}

function sentenceCase(name) {
  return (name.charAt(0).toUpperCase() + name.slice(1)).replace("_", " ");
}

/** The `error` of a row as a person reads it: the name of each field in the place of codes. */
function reason(error, titles) {
  const named = (_, start, column) => `${start}${column ? `${titles[column] ?? column}: ` : ""}`;
  return sentence(error.replace(/(^|; )[a-z_]+(?: in (.+?))?: /g, named));
}

/** A table under its heading that scrolls sideways where it is too wide. */
function table(caption, head, rows, kind = "preview") {
  const heading = make("h4", { textContent: caption });
  const scroll = make("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: caption },
    make("table", { className: kind },
      make("thead", {}, make("tr", {}, ...head.map((text) => make("th", { scope: "col", textContent: text })))),
      make("tbody", {}, ...rows)));
  return make("div", {}, heading, scroll);
}

function sendButton(file) {
  const button = make("button", { type: "submit", className: "button", textContent: `Upload and score ${file.name}` });
  button.setAttribute("form", "upload-form");
  return make("p", {}, button);
}

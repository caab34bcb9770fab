// Shows what the service found in the first rows of a file: its columns, rows that would be rejected, some predictions.

import { asSentence, describeError, formatNumber, formatPercent, formatSize } from "./format.js";
import { createElement } from "./page.js";

const DELIMITERS = { ",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar", "^": "caret", "~": "tilde", " ": "spaces" };

/**
 * Show the preview in an element; returns why the file cannot be uploaded, or null.
 * `report` is the preflight document, `texts` are those of the upload form,
 * `dropResults` is called when the columns of earlier results shall be dropped, or kept.
 */
export function showPreview(element, { file, report, texts: general, dropResults, chooseSheet }) {
  const texts = { ...general, faults: { ...general.faults, ...general.faultsByFormat[report.format] } };
  if (!report.checked) {
    element.replaceChildren(
      createElement("h3", { textContent: "No preview" }),
      createElement("p", {
        textContent: `${file.name}, ${formatSize(file.size)}: it will be checked after the upload. If it cannot be scored, the job page will say why.`,
      }),
      uploadButton(file),
    );
    return null;
  }
  const obstacle = obstacleOf(report);
  element.replaceChildren(
    createElement("h3", { textContent: obstacle ? "This file cannot be scored" : "File preview" }),
    createElement("p", { textContent: describeFile(file, report) }),
    ...(obstacle ? [createElement("p", { className: "error", textContent: obstacle })] : []),
    ...sheetChoice(report, chooseSheet),
    ...noteList(report),
    ...resultsChoice(report, dropResults),
    columnTable(report, texts),
    ...faultList(report, texts),
    ...warningList(report, texts),
    ...exampleTable(report, texts),
    obstacle
      ? createElement("p", { textContent: "Correct the file and choose it again. Nothing was stored." })
      : uploadButton(file),
  );
  return obstacle;
}

/** A problem document as an element, with a heading and the next step. */
export function problemSummary(problem, [heading, nextStep]) {
  const errors = (problem.errors ?? []).filter((error) => error.detail !== problem.detail || error.did_you_mean);
  const items = errors.map((error) => createElement("li", {},
    `${error.row ? `Row ${formatNumber(error.row)}: ` : ""}${asSentence(error.detail)}`,
    error.did_you_mean ? ` The file has “${error.did_you_mean}”: did you mean that column?` : ""));
  return createElement("div", { className: "summary" },
    createElement("h3", { textContent: heading }),
    createElement("p", { textContent: asSentence(problem.detail) }),
    ...(items.length ? [createElement("ul", {}, ...items)] : []),
    createElement("p", { textContent: nextStep }));
}

function obstacleOf(report) {
  const missing = report.missing_columns.map(({ name, did_you_mean: header }) =>
    header ? `“${name}” (the file has “${header}”: did you mean that column?)` : `“${name}”`);
  if (missing.length) return `Missing ${missing.length === 1 ? "column" : "columns"}: ${missing.join(", ")}.`;
  const duplicates = report.columns.filter((column) => column.note).map((column) => `“${column.header}”`);
  if (duplicates.length) {
    return `Duplicate ${duplicates.length === 1 ? "column" : "columns"}: ${duplicates.join(", ")}. Remove or rename.`;
  }
  return report.complete && !report.rows_seen ? "The file has no data rows." : null;
}

function describeFile(file, report) {
  const rows = report.rows_seen ? `; ${formatNumber(report.rows_seen)} ${report.complete ? "rows" : "rows checked"}` : "";
  const delimiter = DELIMITERS[report.delimiter] ?? report.delimiter;
  const dialect = report.format === "csv" ? `${report.encoding}, delimiter: ${delimiter}` : report.format;
  return `${file.name}, ${formatSize(file.size)}; ${dialect}${rows}.`;
}

/** The sheets of a workbook to choose from, if there are several. */
function sheetChoice({ sheets, sheet }, choose) {
  if (sheets.length < 2) return [];
  const options = sheets.map((name) => createElement("option", { value: name, textContent: name, selected: name === sheet }));
  const select = createElement("select", { id: "sheet-choice" }, ...options);
  select.addEventListener("change", () => choose(select.value));
  const label = createElement("label", { textContent: "Sheet" });
  label.htmlFor = select.id;
  return [createElement("p", { className: "sheets" }, label, " ", select)];
}

/** What was found out about how the file is written, and will be done about it. */
function noteList({ notes }) {
  return notes.length ? [createElement("ul", { className: "notes" },
    ...notes.map((note) => createElement("li", { textContent: note })))] : [];
}

/** Whether to drop the columns of earlier results, if the file has any. */
function resultsChoice({ result_columns: names, columns }, dropResults) {
  if (!names.length) return [];
  const checked = !columns.some(({ header }) => header === names.at(-1));
  const box = createElement("input", { type: "checkbox", id: "drop-results", checked });
  box.addEventListener("change", () => dropResults(box.checked));
  return [createElement("p", { className: "tick" }, createElement("label", {}, box,
    ` Drop the columns of earlier results: ${names.join(", ")}`))];
}

function columnTable(report, { titles, maxColumns }) {
  const misspelt = new Map(report.missing_columns.map(({ name, did_you_mean: header }) => [header, name]));
  const listed = report.columns.slice(0, maxColumns);
  const rows = listed.map((column) => [column.header, ...mappingOf(column, misspelt, titles)]);
  for (const { name, did_you_mean: header } of report.missing_columns) {
    if (!header) rows.push(["none", "wrong", `Missing: ${titles[name]} (${name})`]);
  }
  const more = report.columns.length - listed.length;
  if (more > 0) rows.push([`${formatNumber(more)} more`, "", "Further columns"]);
  return table("Columns of the file", ["Column in the file", "Mapped to"], rows.map(([header, className, mapping]) =>
    createElement("tr", { className },
      createElement("th", { scope: "row" }, createElement("code", { textContent: header })),
      createElement("td", { textContent: mapping }))), "mapping");
}

function mappingOf(column, misspelt, titles) {
  if (misspelt.has(column.header)) {
    const name = misspelt.get(column.header);
    return ["wrong", `Misspelt? The model needs ${titles[name]} (“${name}”)`];
  }
  if (column.note) return ["wrong", "Duplicate column"];
  return column.feature ? ["", titles[column.feature]] : ["extra", "Not used; passed through"];
}

function faultList(report, texts) {
  return countList("Rows that would be rejected", report.faults, texts.faults, report, texts,
    "They appear in the results with the reason for rejection. All other rows are scored.");
}

function warningList(report, texts) {
  return countList("Rows that would be scored with a warning", report.warnings, texts.warnings, report, texts,
    "The model scores values not seen in training anyway, but less reliably.");
}

/** What is the matter with rows, by column, under a heading; nothing if there is nothing. */
function countList(heading, counts, words, report, { titles, row }, explanation) {
  if (!counts.length) return [];
  const items = counts.map(({ code, column, count }) => createElement("li", {},
    `${column ? titles[column] ?? column : row}: ${words[code] ?? code} `,
    `(${formatNumber(count)} of ${formatNumber(report.rows_seen)} rows)`));
  return [
    createElement("h4", { textContent: heading }),
    createElement("p", { textContent: explanation }),
    createElement("ul", {}, ...items),
  ];
}

function exampleTable(report, texts) {
  if (!report.examples.length) return [];
  const features = Object.keys(report.examples[0].record);
  // The predictions, one per target, and their scores.
  const outputs = Object.keys(report.examples[0]).filter((name) => !["row", "record", "error"].includes(name));
  const added = (textContent, colSpan = 1) => createElement("td", { className: "added", colSpan, textContent });
  const rows = report.examples.map((example) => createElement("tr", { className: example.error ? "rejected" : "" },
    createElement("td", { className: "number", textContent: formatNumber(example.row) }),
    ...(example.error
      ? [added(describeError(example.error, texts), outputs.length)]
      : outputs.map((name) => added(formatOutput(name, example[name])))),
    ...features.map((name) => createElement("td", { textContent: example.record[name] }))));
  return [table("Predictions for the first rows",
    ["Row", ...outputs.map(columnTitle), ...features.map((name) => texts.titles[name])], rows)];
}

function formatOutput(name, value) {
  return name.startsWith("probability") ? formatPercent(value, 2) : String(value ?? "");
}

function columnTitle(name) {
  return (name.charAt(0).toUpperCase() + name.slice(1)).replace("_", " ");
}

/** A table under its heading that scrolls sideways on narrow screens. */
function table(caption, header, rows, className = "preview") {
  const heading = createElement("h4", { textContent: caption });
  const region = createElement("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: caption },
    createElement("table", { className },
      createElement("thead", {},
        createElement("tr", {}, ...header.map((text) => createElement("th", { scope: "col", textContent: text })))),
      createElement("tbody", {}, ...rows)));
  return createElement("div", {}, heading, region);
}

function uploadButton(file) {
  const button = createElement("button", {
    type: "submit", className: "button", textContent: `Upload and score ${file.name}`,
  });
  button.setAttribute("form", "upload-form");
  return createElement("p", {}, button);
}

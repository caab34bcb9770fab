// The table of the grid in which rejected rows are corrected: its cells, what is wrong with them, and what was typed.

import { asSentence, formatNumber } from "./format.js";
import { createElement } from "./page.js";

const MAX_CELLS = 2000;
const MAX_ROWS = 100;
// Columns that no feature needs are shown in narrow files only.
const MAX_ALL_COLUMNS = 16;
const MAX_COLUMNS = 60;

export class GridTable {
  /**
   * @param edits what was typed so far
   * @param texts the words of the page
   * @param onChange called when a row was confirmed, or no longer is
   */
  constructor(edits, texts, onChange) {
    Object.assign(this, { edits, texts, onChange, rowsPerPage: MAX_ROWS });
    this.box = createElement("div", {
      className: "scroll tall grid", tabIndex: 0, role: "region", ariaLabel: "Rejected rows to correct",
    });
  }

  /** Take the columns of the file, before the first rows are shown. */
  setColumns(columns) {
    this.columns = columns;
    this.shown = shownColumns(columns);
    this.rowsPerPage = Math.max(10, Math.min(MAX_ROWS, Math.floor(MAX_CELLS / this.shown.length)));
  }

  /** Show these rows in place of those before. */
  show(records) {
    this.records = records;
    const names = this.shown.map((at) => this.columns[at]);
    const lists = this.shown.filter((at) => this.columns[at].choices).map((at) =>
      createElement("datalist", { id: `choices-${at}` },
        ...this.columns[at].choices.map((value) => createElement("option", { value }))));
    this.box.replaceChildren(...lists, createElement("table", { className: "preview" },
      createElement("thead", {}, createElement("tr", {},
        createElement("th", { scope: "col", textContent: "Row" }),
        ...names.map(({ name }) => createElement("th", { scope: "col", textContent: name })))),
      createElement("tbody", {}, ...records.map((record, index) => this.rowOf(record, index)))));
    this.box.scrollTop = 0;
  }

  rowOf(record, index) {
    const whole = record.errors.filter(({ column }) => !column);
    const head = createElement("th", { scope: "row", textContent: formatNumber(record._row) });
    for (const { code } of whole) {
      head.append(createElement("span", { className: "fault", textContent: asSentence(capital(this.texts.faults[code] ?? code)) }));
    }
    if (whole.length) head.append(this.confirmation(record));
    return createElement("tr", {}, head, ...this.shown.map((at, place) => this.cellOf(record, index, at, place)));
  }

  /** A box to tick where the row as a whole was at fault, but is right as it is shown. */
  confirmation(record) {
    const box = createElement("input", { type: "checkbox", checked: this.edits.isConfirmed(record._row) });
    box.addEventListener("change", () => {
      const at = this.shown.find((one) => !this.isAmbiguous(this.columns[one].name));
      this.edits.confirm(record._row, box.checked ? { [this.columns[at].name]: record.values[at] } : undefined);
      this.onChange();
    });
    return createElement("label", { className: "as-shown" }, box, " Right as shown");
  }

  cellOf(record, index, at, place) {
    const column = this.columns[at];
    const input = createElement("input", {
      type: "text", value: this.edits.get(record._row, column.name) ?? record.values[at], autocomplete: "off",
      ariaLabel: `${column.name}, row ${record._row}`, spellcheck: false, disabled: this.isAmbiguous(column.name),
    });
    Object.assign(input.dataset, { index, place });
    if (column.choices) input.setAttribute("list", `choices-${at}`);
    const cell = createElement("td", {}, input);
    const faults = record.errors.filter((error) => column.features.includes(error.column));
    if (faults.length) {
      const id = `fault-${index}-${place}`;
      input.setAttribute("aria-describedby", id);
      cell.append(createElement("span", { id, className: "fault", textContent: faults.map((f) => this.explain(f)).join(" ") }));
      cell.dataset.faulty = "";
    }
    this.mark(cell, input, record, at);
    return cell;
  }

  isAmbiguous(name) {
    return this.columns.filter((column) => column.name === name).length > 1;
  }

  /** What is wrong with a value, and what would be right. */
  explain({ column, code, detail }) {
    const suggestion = /did you mean ['"“](.+?)['"”]\?/.exec(detail);
    const hint = suggestion ? `Did you mean “${suggestion[1]}”?` : this.texts.expected[column] ?? "";
    return `${asSentence(capital(this.texts.faults[code] ?? code.replaceAll("_", " ")))} ${hint}`.trim();
  }

  /** Show whether a cell was edited, or is at fault. */
  mark(cell, input, record, at) {
    const isEdited = this.edits.get(record._row, this.columns[at].name) !== undefined;
    cell.className = isEdited ? "edited" : "faulty" in cell.dataset ? "faulty" : "";
    input.title = isEdited ? `Was: ${record.values[at] || "empty"}` : "";
    if ("faulty" in cell.dataset) input.ariaInvalid = String(!isEdited);
  }

  /** The record and the column of a cell, and where it stands in the table. */
  place(input) {
    const { index, place } = input.dataset;
    return { record: this.records[Number(index)], at: this.shown[Number(place)], row: Number(index), column: Number(place) };
  }

  /** The cell at a place in the table. */
  cell(row, column) {
    return this.box.querySelector(`input[data-index="${row}"][data-place="${column}"]`);
  }

  /** Note the new value of a cell, or that it is what it was. */
  edit(record, at, value) {
    const name = this.columns[at].name;
    if (value === record.values[at]) this.edits.remove(record._row, name);
    else this.edits.set(record._row, name, value, this.faultyNames(record));
  }

  faultyNames(record) {
    return record.errors.flatMap(({ column }) =>
      this.columns.filter(({ features }) => features.includes(column)).map(({ name }) => name));
  }

  /** Show in all cells what was typed. */
  refresh() {
    for (const input of this.box.querySelectorAll("input[data-index]")) {
      const { record, at } = this.place(input);
      input.value = this.edits.get(record._row, this.columns[at].name) ?? record.values[at];
      this.mark(input.parentElement, input, record, at);
    }
    for (const [at, row] of this.box.querySelectorAll("tbody tr").entries()) {
      const box = row.querySelector("input[type=checkbox]");
      if (box) box.checked = this.edits.isConfirmed(this.records[at]._row);
    }
  }
}

/** The places of the columns that the grid shows: those of features, and in narrow files all. */
function shownColumns(columns) {
  const all = columns.map((_, at) => at);
  return columns.length <= MAX_ALL_COLUMNS ? all : all.filter((at) => columns[at].features.length).slice(0, MAX_COLUMNS);
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

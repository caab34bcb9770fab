// The grid on the page of a job in which its rejected rows are corrected: a page of rows at a time, from the service.
// What is typed is kept in the browser until it is sent.

import { parseCells } from "./clipboard.js";
import { Edits } from "./edits.js";
import { formatNumber } from "./format.js";
import { GridTable } from "./grid-table.js";
import { announce, createElement, ownPageHeader } from "./page.js";
import { problemSummary } from "./preview.js";

const APPLY_LIMIT = 1000;
const MAX_VALUE = 1000;

/** Show the grid if the page has a place for it that is still empty. */
export function showGrid() {
  const element = document.getElementById("grid");
  if (element && !element.childElementCount) new Grid(element).open();
}

class Grid {
  constructor(element) {
    this.element = element;
    this.texts = JSON.parse(element.dataset.texts);
    this.edits = new Edits(element.dataset.job);
    this.cursors = [""];
    this.firsts = [1];
    this.page = 0;
    this.lastEdit = null;
    this.count = createElement("p", { className: "count", id: "grid-count" });
    this.note = createElement("div", { id: "grid-note" });
    this.table = new GridTable(this.edits, this.texts, () => this.showState());
    this.pager = createElement("p", { className: "pager" });
    this.applyButton = this.button("Apply to all rows with this value", () => this.applyToAll(), "quiet");
    this.applyButton.id = "grid-apply";
    this.sendButton = this.button("Score the corrected rows", () => this.send());
    this.discardButton = this.button("Discard all changes", () => this.discard(), "quiet");
  }

  button(textContent, action, more = "") {
    const button = createElement("button", { type: "button", className: `button ${more}`.trim(), textContent });
    button.addEventListener("click", action);
    return button;
  }

  async open() {
    this.element.append(
      createElement("p", { className: "hint", textContent: "Arrow keys, Tab and Enter move between cells; F2 edits within "
        + "a cell, Escape restores it. Ctrl+Enter applies a change to all rows with the same value. Cells copied from a "
        + "spreadsheet can be pasted. What you type is kept in this browser until you send it." }),
      this.count, this.table.box, this.pager,
      createElement("p", { className: "actions" }, this.applyButton, this.sendButton, this.discardButton),
      this.note);
    this.table.box.addEventListener("input", ({ target }) => this.typed(target));
    this.table.box.addEventListener("keydown", (event) => this.pressed(event));
    this.table.box.addEventListener("focusin", ({ target }) => this.entered(target));
    this.table.box.addEventListener("paste", (event) => this.pasted(event));
    this.showState();
    await this.load(0);
  }

  /** Fetch and show a page of rejected rows; returns whether it could be. */
  async load(page) {
    const document_ = await this.fetchRows({ limit: this.table.rowsPerPage, cursor: this.cursors[page] });
    if (!document_) return false;
    if (!this.table.columns) {
      this.table.setColumns(document_.columns);
      if (document_.records.length > this.table.rowsPerPage) return this.load(page);
    }
    this.page = page;
    this.total = document_.total;
    if (document_.next_cursor) this.cursors[page + 1] = document_.next_cursor;
    this.firsts[page + 1] = this.firsts[page] + document_.records.length;
    this.hasNext = Boolean(document_.next_cursor);
    this.table.show(document_.records);
    this.showState();
    return true;
  }

  async fetchRows(query) {
    try {
      const response = await fetch(`${this.element.dataset.records}?${new URLSearchParams(query)}`);
      const found = await response.json();
      if (response.ok) return found;
      this.refuse(found);
    } catch {
      this.warn("The rejected rows could not be loaded. Check your connection and reload the page.");
    }
    return null;
  }

  // Cells

  typed(input) {
    if (input.dataset.index === undefined) return;
    this.change(input);
    this.showState();
  }

  change(input) {
    const { record, at } = this.table.place(input);
    this.table.edit(record, at, input.value);
    this.table.mark(input.parentElement, input, record, at);
    this.lastEdit = input.value === record.values[at] ? null : { at, from: record.values[at], to: input.value };
  }

  entered(input) {
    if (input.dataset.index === undefined) return;
    this.before = input.value;
    this.isEditing = false;
    input.select();
    input.parentElement.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  pressed(event) {
    const { target: input, key } = event;
    if (input.dataset.index === undefined || event.isComposing || event.altKey) return;
    const { row, column } = this.table.place(input);
    const isPlain = !event.ctrlKey && !event.metaKey;
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], Enter: [event.shiftKey ? -1 : 1, 0] };
    if (key === "Enter" && !isPlain) this.applyToAll();
    else if (key === "F2") {
      this.isEditing = true;
      input.setSelectionRange(input.value.length, input.value.length);
    } else if (key === "Escape" && input.value !== this.before) {
      input.value = this.before;
      this.typed(input);
      input.select();
    } else if (moves[key] && isPlain) this.moveTo(row + moves[key][0], column);
    else if (isPlain && !event.shiftKey && this.leaves(input, key)) this.moveTo(row, column + (key === "ArrowLeft" ? -1 : 1));
    else return;
    event.preventDefault();
  }

  /** Whether an arrow to the side leaves the cell: from its edge, or while all of it is selected. */
  leaves(input, key) {
    const { selectionStart: start, selectionEnd: end, value } = input;
    if (key !== "ArrowLeft" && key !== "ArrowRight") return false;
    if (!this.isEditing && start === 0 && end === value.length) return true;
    return start === end && start === (key === "ArrowLeft" ? 0 : value.length);
  }

  /** Move to a cell; above the first row or below the last one, on the page before or after. */
  async moveTo(row, column) {
    if (column < 0 || column >= this.table.shown.length) return;
    if (row >= 0 && row < this.table.records.length) this.table.cell(row, column).focus();
    else if (row < 0 && this.page > 0 && await this.load(this.page - 1)) {
      this.table.cell(this.table.records.length - 1, column).focus();
    }
    else if (row > 0 && this.hasNext && await this.load(this.page + 1)) this.table.cell(0, column).focus();
  }

  // Many cells at once

  /** Paste cells of a spreadsheet from the focused one on; a single value is pasted as usual. */
  pasted(event) {
    const { target: input } = event;
    const text = event.clipboardData.getData("text/plain").replace(/\r?\n$/, "");
    if (input.dataset.index === undefined || !/[\t\n]/.test(text)) return;
    event.preventDefault();
    const { row, column } = this.table.place(input);
    const lines = parseCells(text);
    let count = 0;
    lines.slice(0, this.table.records.length - row).forEach((values, down) => {
      values.slice(0, this.table.shown.length - column).forEach((value, right) => {
        const cell = this.table.cell(row + down, column + right);
        if (cell.disabled) return;
        cell.value = value;
        this.change(cell);
        count += 1;
      });
    });
    this.showState();
    const left = lines.length - (this.table.records.length - row);
    const cells = count === 1 ? "1 cell" : `${formatNumber(count)} cells`;
    const lost = left === 1 ? "1 line" : `${formatNumber(left)} lines`;
    announce(`${cells} pasted.${left > 0 ? ` ${lost} did not fit on this page.` : ""}`);
  }

  /** Make the last change in all rows with the same value in that column, on whatever page they are. */
  async applyToAll() {
    if (!this.lastEdit) return;
    const { at, from, to } = this.lastEdit;
    const { name } = this.table.columns[at];
    let [cursor, count] = ["", 0];
    this.applyButton.disabled = true;
    do {
      const found = await this.fetchRows({ column: name, value: from, limit: APPLY_LIMIT, cursor });
      if (!found) break;
      for (const record of found.records) {
        if (this.edits.get(record._row, name) === undefined) this.table.edit(record, at, to);
        count += this.edits.get(record._row, name) === to ? 1 : 0;
      }
      cursor = found.next_cursor;
    } while (cursor);
    this.lastEdit = null;
    this.table.refresh();
    this.showState();
    const rows = count === 1 ? "1 row" : `${formatNumber(count)} rows`;
    announce(`Replaced “${from}” with “${to}” in ${name}: ${rows}.`);
  }

  // State

  showState() {
    const { corrected, begun } = this.edits.counts();
    this.count.textContent = this.total === undefined ? "Loading the rejected rows…"
      : `${formatNumber(corrected)} of ${formatNumber(this.total)} corrected`
        + (begun ? `, ${formatNumber(begun)} begun` : "");
    this.sendButton.disabled = !(corrected + begun);
    this.discardButton.disabled = !(corrected + begun);
    const { from, to, at } = this.lastEdit ?? {};
    this.applyButton.disabled = !this.lastEdit || from.length > MAX_VALUE;
    this.applyButton.textContent = this.lastEdit
      ? `Apply “${shorten(to)}” to all rows with “${shorten(from)}” in ${this.table.columns[at].name}`
      : "Apply to all rows with this value";
    if (this.table.records) this.showPager();
  }

  showPager() {
    const first = this.firsts[this.page];
    const buttons = [["Previous rows", this.page > 0, -1], ["Next rows", this.hasNext, 1]].map(([text, isThere, step]) => {
      const button = createElement("button", { type: "button", className: "as-link", textContent: text, disabled: !isThere });
      button.addEventListener("click", () => this.load(this.page + step));
      return button;
    });
    const last = first + this.table.records.length - 1;
    const where = `Rejected rows ${formatNumber(first)} to ${formatNumber(last)} of ${formatNumber(this.total)}`;
    const [before, after] = buttons;
    if (this.pager.dataset.shown === `${where} ${this.hasNext}`) return;
    this.pager.dataset.shown = `${where} ${this.hasNext}`;
    this.pager.replaceChildren(...(this.cursors.length > 1 ? [before, createElement("span", { textContent: where }), after] : []));
  }

  discard() {
    this.edits.clear();
    this.lastEdit = null;
    this.table.refresh();
    this.showState();
    announce("All changes were discarded.");
  }

  async send() {
    this.note.replaceChildren();
    this.sendButton.disabled = true;
    announce("Sending the corrections…");
    const records = this.edits.records(this.texts.row_column);
    try {
      const response = await fetch(this.element.dataset.send, {
        method: "POST",
        headers: {
          "Content-Type": "application/json",
          "Idempotency-Key": this.edits.key(JSON.stringify(records)),
          ...ownPageHeader(),
        },
        body: JSON.stringify({ records }),
      });
      const answer = await response.json();
      if (response.ok) {
        this.edits.clear();
        location.assign(answer.links.page);
        return;
      }
      this.refuse(answer);
    } catch {
      this.warn("The corrections could not be sent. They are kept in this browser; check your connection and try again.");
    }
    this.sendButton.disabled = false;
  }

  refuse(problem) {
    const texts = this.texts.problems[problem.code] ?? ["Something went wrong", "Try again."];
    this.note.replaceChildren(problemSummary(problem, texts));
    announce(texts[0]);
  }

  warn(textContent) {
    this.note.replaceChildren(createElement("p", { className: "notice", textContent }));
    announce(textContent);
  }
}

function shorten(text) {
  return text.length > 30 ? `${text.slice(0, 29)}…` : text;
}

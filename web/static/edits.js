// The corrections of a job's rejected rows that were typed and not sent yet, kept in the browser's storage.

const SAVE_DELAY = 300;

export class Edits {
  /** @param job the job's id */
  constructor(job) {
    this.name = `corrections:${job}`;
    this.rows = new Map();
    try {
      this.rows = new Map(JSON.parse(localStorage.getItem(this.name) ?? "[]"));
    } catch {
      // Without storage, edits last as long as the page.
    }
    for (const event of ["pagehide", "visibilitychange"]) addEventListener(event, () => this.save());
  }

  /** The new value in a column of a row; undefined if it was not changed. */
  get(row, column) {
    return this.rows.get(row)?.values[column];
  }

  /** Note a new value; `faulty` are the columns in which the row has a fault. */
  set(row, column, value, faulty) {
    const edit = this.rows.get(row) ?? { values: {}, faulty: [...new Set(faulty)] };
    edit.values[column] = value;
    this.rows.set(row, edit);
    this.saveSoon();
  }

  /** Forget the new value in a column of a row. */
  remove(row, column) {
    const edit = this.rows.get(row);
    if (!edit) return;
    delete edit.values[column];
    this.drop(row, edit);
  }

  /** Note that a row is right as it is shown, by the value in one of its columns; or, without, that it is not. */
  confirm(row, shown) {
    const edit = this.rows.get(row) ?? { values: {}, faulty: [] };
    edit.shown = shown;
    this.rows.set(row, edit);
    this.drop(row, edit);
  }

  isConfirmed(row) {
    return Boolean(this.rows.get(row)?.shown);
  }

  drop(row, edit) {
    if (!edit.shown && !Object.keys(edit.values).length) this.rows.delete(row);
    this.saveSoon();
  }

  /** How many rows have a new value in all columns at fault, and how many others have a new value at all. */
  counts() {
    let corrected = 0;
    for (const { values, faulty } of this.rows.values()) corrected += faulty.every((column) => column in values) ? 1 : 0;
    return { corrected, begun: this.rows.size - corrected };
  }

  /** The corrections as the service takes them. */
  records(rowColumn) {
    return [...this.rows].map(([row, { values, shown }]) => ({ [rowColumn]: row, ...shown, ...values }));
  }

  /** An idempotency key for a body: sending the same again after a lost answer creates no second job. */
  key(body) {
    if (this.sent?.body !== body) {
      const bytes = crypto.getRandomValues(new Uint8Array(16));
      this.sent = { body, key: [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("") };
    }
    return this.sent.key;
  }

  clear() {
    this.rows.clear();
    this.save();
  }

  saveSoon() {
    this.timer ??= setTimeout(() => this.save(), SAVE_DELAY);
  }

  save() {
    clearTimeout(this.timer);
    this.timer = null;
    try {
      if (this.rows.size) localStorage.setItem(this.name, JSON.stringify([...this.rows]));
      else localStorage.removeItem(this.name);
    } catch {
      // The storage is full or switched off.
    }
  }
}

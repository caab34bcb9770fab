// Cells that were copied from a spreadsheet.

/** The cells of a text that was copied from a spreadsheet; quoted ones may hold tabs and line breaks. */
export function parseCells(text) {
  const lines = [[]];
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"(?=[\t\r\n]|$)|([^\t\r\n]*))(\t|\r?\n|$)/g)) {
    lines.at(-1).push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    if (!end) break;
    if (end !== "\t") lines.push([]);
  }
  return lines;
}

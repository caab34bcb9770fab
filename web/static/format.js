// Formatters for texts that scripts write. The server has the same in `web/pages/formatting.py` and
// `web/pages/error_texts.py`; a test compares the two.

const SIZE_UNITS = ["bytes", "kB", "MB", "GB", "TB"];
const THOUSAND = 1000;
const [MINUTE, HOUR] = [60, 3600];

/** A number with thousands separators; as an integer from 100 on, else with at most two decimals. */
export function formatNumber(number) {
  if (Math.abs(number) >= 100 || Number.isInteger(number)) return withSeparators(number.toFixed(0));
  return number.toFixed(2).replace(/\.?0+$/, "");
}

/** A share in 0..1 as a percentage. */
export function formatPercent(share, decimals = 0) {
  return `${withSeparators((share * 100).toFixed(decimals))}%`;
}

/** Progress as a percentage, rounded down: only what is complete shows 100%. */
export function formatProgress(share) {
  return `${Math.floor(share * 100)}%`;
}

/** A number of bytes in the largest unit in which it is at least 1. */
export function formatSize(count) {
  if (count === 1) return "1 byte";
  let [amount, unit] = [count, 0];
  for (; amount >= THOUSAND && unit < SIZE_UNITS.length - 1; unit += 1) amount /= THOUSAND;
  return `${withSeparators(amount.toFixed(unit === 0 || amount >= 100 ? 0 : 1))} ${SIZE_UNITS[unit]}`;
}

/** A time span in its two largest units. */
export function formatDuration(seconds) {
  const whole = Math.floor(seconds + 0.5);
  if (whole < 1) return "less than a second";
  if (whole < MINUTE) return `${whole} s`;
  if (whole < HOUR) return `${Math.floor(whole / MINUTE)} min ${whole % MINUTE} s`;
  return `${Math.floor(whole / HOUR)} h ${Math.floor((whole % HOUR) / MINUTE)} min`;
}

/** The text with a capital first letter and a full stop. */
export function asSentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?…]$/.test(text) ? "" : ".");
}

/**
 * The `error` field of a result row as people read it: titles of features in place of codes and columns.
 * `titles` are those of the features, `faults` the texts by code, and `row` is the subject of faults of a whole row.
 */
export function describeError(error, { titles, faults, row }) {
  const codes = new RegExp(`(?:^|; )(${Object.keys(faults).join("|")})(?: in (.+?))?: `, "g");
  const found = [...error.matchAll(codes)];
  if (!found.length) return asSentence(error);
  return found.map(([{ length }, code, column], index) => {
    const detail = error.slice(found[index].index + length, found[index + 1]?.index);
    const suggestion = /did you mean ['"“](.+?)['"”]\?/.exec(detail);
    const subject = column ? titles[column] ?? column : row;
    return `${subject}: ${faults[code]}${suggestion ? `; did you mean “${suggestion[1]}”?` : "."}`;
  }).join(" ");
}

function withSeparators(digits) {
  const [whole, ...fraction] = digits.split(".");
  return [whole.replace(/\B(?=(\d{3})+$)/g, ","), ...fraction].join(".");
}

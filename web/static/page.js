// What all pages share: times in the reader's time zone, parts of a page taken from a fresh copy of it, and words.
// The pages work without any of this; everything here only saves the reader a page load.

const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit", timeZoneName: "short" });

/** Show times in the reader's time zone; pointing at one still shows it in UTC. */
export function showTimes(root = document) {
  for (const time of root.querySelectorAll("time[data-moment]")) {
    time.title = time.textContent.trim();
    const when = new Date(time.dateTime);
    // A line may end after the day, but not within the time.
    time.textContent = `${DAY.format(when)}, ${CLOCK.format(when).replaceAll(" ", "\u00a0")}`;
  }
}

// A button that is replaced or pushed away while it is held down takes the click with it.
let released = Promise.resolve();
// Who goes to another tab or window while the button is down lets it go there.
const ENDS_OF_A_PRESS = ["pointerup", "pointercancel", "contextmenu", "blur", "visibilitychange"];
addEventListener("pointerdown", ({ target, button }) => {
  if (button !== 0 || !target.closest("a, button, summary")) return;
  released = new Promise((resolve) => {
    for (const end of ENDS_OF_A_PRESS) addEventListener(end, () => setTimeout(resolve), { once: true });
  });
});

/**
 * A page as a document, with the status of the answer; not before a button that is held down has been let go.
 * Rejects where the service cannot be reached.
 */
export async function fetchPage(address, options = {}) {
  const response = await fetch(address, { headers: { Accept: "text/html" }, ...options });
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  showTimes(page);
  await released;
  options.signal?.throwIfAborted();
  return { status: response.status, page };
}

/** Put the part with this id from a fresh page in the place of ours; what has the focus keeps it. */
export function replacePart(id, page) {
  const [ours, fresh] = [document.getElementById(id), page.getElementById(id)];
  if (!ours || !fresh || ours.innerHTML === fresh.innerHTML) return;
  const places = [...ours.querySelectorAll("a, button, input, select, summary, [tabindex]")];
  const place = places.indexOf(document.activeElement);
  ours.replaceWith(document.adoptNode(fresh));
  if (place >= 0) fresh.querySelectorAll("a, button, input, select, summary, [tabindex]")[place]?.focus();
}

/** Make a change above or around an element that stays where it is on the screen, as far as the page can be scrolled. */
export function keepInPlace(element, change) {
  const before = element?.getBoundingClientRect().top;
  change();
  const moved = element ? element.getBoundingClientRect().top - before : 0;
  if (moved) scrollBy({ top: moved, behavior: "instant" });
}

/** Tell readers of the screen what has changed. */
export function announce(text) {
  document.getElementById("announcements").textContent = text;
}

/** An element with properties and children; texts are never read as HTML. */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

export const grouped = (number) => number.toLocaleString("en-US");

export function percent(share, decimals = 0) {
  return `${(share * 100).toFixed(decimals)}%`;
}

export function size(bytes) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let unit = 0;
  for (; bytes >= 1000 && unit < units.length - 1; unit += 1) bytes /= 1000;
  return `${unit === 0 || bytes >= 100 ? Math.round(bytes) : bytes.toFixed(1)} ${units[unit]}`;
}

export function duration(seconds) {
  const whole = Math.round(seconds);
  if (whole < 1) return "less than a second";
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

showTimes();

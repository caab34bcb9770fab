// What all pages share: times in the reader's time zone, and parts of a page replaced from a fresh copy of it.
// The pages work without scripts; these only save page loads.

const DATE = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const TIME = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit", timeZoneName: "short" });
const FOCUSABLE = "a, button, input, select, summary, [tabindex]";

/** Show times in the reader's time zone; their tooltips show them in UTC. */
export function showLocalTimes(root = document) {
  for (const time of root.querySelectorAll("time[data-local]")) {
    time.title = time.textContent.trim();
    const when = new Date(time.dateTime);
    // A line may break after the date, but not within the time.
    time.textContent = `${DATE.format(when)}, ${TIME.format(when).replaceAll(" ", "\u00a0")}`;
  }
}

// Replacing or moving a button while it is pressed would lose the click.
let released = Promise.resolve();
// A press also ends when the reader switches to another tab or window.
const PRESS_END_EVENTS = ["pointerup", "pointercancel", "contextmenu", "blur", "visibilitychange"];
addEventListener("pointerdown", ({ target, button }) => {
  if (button !== 0 || !target.closest("a, button, summary, input, label")) return;
  released = new Promise((resolve) => {
    for (const end of PRESS_END_EVENTS) addEventListener(end, () => setTimeout(resolve), { once: true });
  });
});

/** The header that shows that a request comes from our own page; empty where signing in is off. */
export function ownPageHeader() {
  const token = document.querySelector('meta[name="csrf-token"]')?.content;
  return token ? { "X-CSRF-Token": token } : {};
}

/**
 * Fetch a page as a document, with the status of the response; waits until no button is pressed.
 * Rejects if the service cannot be reached.
 */
export async function fetchPage(address, options = {}) {
  const response = await fetch(address, { headers: { Accept: "text/html", ...ownPageHeader() }, ...options });
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  showLocalTimes(page);
  await released;
  options.signal?.throwIfAborted();
  return { status: response.status, page };
}

/** What tells an element from the others of a part, also where more of them were inserted. */
const keyOf = (element) => [element.tagName, element.id, element.href, element.name, element.value].join(" ");

/** Replace the element with this id by the one of a fetched page, and keep the focus where it was in it. */
export function replacePart(id, page) {
  const [current, fresh] = [document.getElementById(id), page.getElementById(id)];
  if (!current || !fresh || current.innerHTML === fresh.innerHTML) return;
  const focused = document.activeElement;
  const position = [...current.querySelectorAll(FOCUSABLE)].indexOf(focused);
  current.replaceWith(document.adoptNode(fresh));
  if (position < 0) return;
  const elements = [...fresh.querySelectorAll(FOCUSABLE)];
  const same = elements.filter((element) => keyOf(element) === keyOf(focused));
  (same.length === 1 ? same[0] : elements[position])?.focus();
}

/** Make a change and scroll so that the element does not move on the screen, as far as the page can be scrolled. */
export function keepInPlace(element, change) {
  const before = element?.getBoundingClientRect().top;
  change();
  const moved = element ? element.getBoundingClientRect().top - before : 0;
  if (moved) scrollBy({ top: moved, behavior: "instant" });
}

/** Announce a change to screen readers. */
export function announce(text) {
  document.getElementById("announcements").textContent = text;
}

/** Create an element with properties and children; strings become text, never HTML. */
export function createElement(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

showLocalTimes();

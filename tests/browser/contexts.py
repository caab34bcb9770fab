"""Browser contexts that tests use one after another."""

from collections import defaultdict
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page


class Contexts:
    """Contexts of a browser by their options.

    The first page of a context costs a second of processor time, for its process. Here, a page that stays open keeps
    the process, and all that other pages may have left behind is removed before the next test.
    """

    def __init__(self, browser: Browser, timeout_ms: float) -> None:
        self._browser, self._timeout_ms = browser, timeout_ms
        self._free: dict[str, list[BrowserContext]] = defaultdict(list)
        self._taken: list[tuple[str, BrowserContext]] = []

    def new_page(self, **options: Any) -> Page:
        """A page in a context with these options, in which there is no other one; ``base_url`` is one of them."""
        key = repr(sorted(options.items()))
        if not self._free[key]:
            self._free[key].append(self._new_context(options))
            self._free[key][-1].new_page().goto("/healthz")
        context = self._free[key].pop()
        self._taken.append((key, context))
        return context.new_page()

    def _new_context(self, options: dict[str, Any]) -> BrowserContext:
        context = self._browser.new_context(**options)
        context.set_default_timeout(self._timeout_ms)
        return context

    def give_back(self) -> None:
        """Make those that were taken as good as new."""
        for key, context in self._taken:
            _clear(context)
            self._free[key].append(context)
        self._taken.clear()

    def close(self) -> None:
        """Close all of them."""
        for contexts in self._free.values():
            for context in contexts:
                context.close()


def _clear(context: BrowserContext) -> None:
    """Leave only the first page, which holds on to the process, and nothing of what the others did."""
    kept, *others = context.pages
    for page in others:
        page.close()
    context.set_offline(False)
    context.clear_cookies()
    session = context.new_cdp_session(kept)
    session.send("Network.clearBrowserCache")
    origin = kept.url.removesuffix("/healthz")
    session.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "all"})
    session.detach()

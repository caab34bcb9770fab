"""Pages read as people's browsers read them, without JavaScript; and the ways in which tests reach them."""

from html.parser import HTMLParser
from xml.etree.ElementTree import Element, TreeBuilder

import httpx

from tests.stack import Stack, wait_until


class Page(HTMLParser):
    """A page as a tree; reading it fails where a browser would have to guess."""

    VOID = frozenset({"meta", "link", "input"})

    def __init__(self, response: httpx.Response) -> None:
        super().__init__()
        self.status = response.status_code
        self._builder, self._open = TreeBuilder(), list[str]()
        self.feed(response.text)
        assert not self._open, f"never closed: {self._open}"
        self.root: Element = self._builder.close()
        ids = [element.attrib["id"] for element in self.root.iter() if "id" in element.attrib]
        assert len(ids) == len(set(ids)), "an id stands twice"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._builder.start(tag, {name: value or "" for name, value in attrs})
        if tag in self.VOID:
            self._builder.end(tag)
        else:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        self._builder.end(tag)

    def handle_data(self, data: str) -> None:
        if self._open:
            self._builder.data(data)

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """The elements of a kind with these attributes; an underscore at the end of a name does not count."""
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
        return [e for e in self.root.iter(tag) if all(e.get(name) == value for name, value in wanted.items())]

    def text(self, element_id: str | None = None) -> str:
        found = self.root if element_id is None else self.root.find(f".//*[@id='{element_id}']")
        assert found is not None, f"nothing has the id {element_id}"
        return " ".join("".join(found.itertext()).split())

    def rows(self, element_id: str) -> list[list[str]]:
        """The texts of the table rows within an element, heads left out."""
        found = self.root.find(f".//*[@id='{element_id}']")
        assert found is not None, f"nothing has the id {element_id}"
        return [
            [" ".join("".join(cell.itertext()).split()) for cell in row]
            for body in found.iter("tbody")
            for row in body.iter("tr")
        ]

    def field(self, name: str) -> Element:
        return next(e for tag in ("input", "select", "textarea") for e in self.all(tag, name=name))

    def beside(self, name: str, what: str = "error") -> str:
        """What is said beside a field; the field refers to it."""
        field = self.field(name)
        said = f"{field.attrib['id']}-{what}"
        assert said in field.attrib["aria-describedby"].split()
        return self.text(said)

    def choices(self, name: str) -> dict[str, str]:
        return {option.attrib["value"]: "".join(option.itertext()) for option in self.field(name).iter("option")}

    def values(self, method: str) -> dict[str, str]:
        """What a browser would send of an untouched form."""
        (form,) = self.all("form", method=method)
        found = {e.attrib["name"]: e.get("value", "") for e in form.iter("input")}
        for select in form.iter("select"):
            options = list(select.iter("option"))
            chosen = next((option for option in options if "selected" in option.attrib), options[0])
            found[select.attrib["name"]] = chosen.attrib["value"]
        return found

    @property
    def refresh(self) -> str | None:
        found = self.all("meta", http_equiv="refresh")
        return found[0].attrib["content"] if found else None

    def links(self) -> list[str]:
        return [link.attrib["href"] for link in self.all("a")]


def page_of(service: Stack, path: str, **query: str) -> Page:
    return Page(service.get(path, params=query))


def upload_by_form(service: Stack, data: bytes, name: str = "people.csv", **fields: str) -> httpx.Response:
    form = {"model": "income", "threshold": "0.5", **fields}
    return service.request("POST", "/jobs", data=form, files={"file": (name, data, "text/csv")})


def ended_job(service: Stack, path: str) -> Page:
    """The page of a job once it no longer refreshes itself."""

    def look() -> Page | None:
        page = page_of(service, path)
        return None if page.refresh else page

    found = wait_until(look)
    assert isinstance(found, Page)
    return found

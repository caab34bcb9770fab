"""Files and records for the browser tests."""

from typing import Any

from playwright.sync_api import Page

HEADER = "age,workclass,education,marital_status,race,sex,hours_per_week"
ROW = "39,State-gov,Bachelors,Never-married,White,Male,40"
PEOPLE = f"{HEADER}\n{ROW}\n{ROW.replace('39', '<b>old</b>')}\n{ROW.replace('Never-married', 'Married-civ-spouse')}\n"
QUERY = "&".join(f"{name}={value}" for name, value in zip(HEADER.split(","), ROW.split(","), strict=True))
ANSWER = f"/models/income/prediction?{QUERY}"


def many(rows: int) -> str:
    """Return a file of that many valid rows."""
    return f"{HEADER}\n" + f"{ROW}\n" * rows


def csv_file(text: str | bytes, name: str = "people.csv") -> Any:
    """Return a file as Playwright passes it to a file input."""
    return {"name": name, "mimeType": "text/csv", "buffer": text.encode() if isinstance(text, str) else text}


def drop(page: Page, data: bytes, name: str = "people.csv") -> None:
    """Drop a file on the body of the page, outside of the form."""
    page.evaluate(
        """([bytes, name]) => {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([new Uint8Array(bytes)], name));
            for (const kind of ["dragover", "drop"])
                document.body.dispatchEvent(new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true }));
        }""",
        [list(data), name],
    )

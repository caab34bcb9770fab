"""What the pages say beyond the answer: what would change it, results in numbers, the model's card."""

from tests.stack import Stack
from tests.web.reading import Page, ended_job, page_of, upload_by_form
from tests.web.records import CLASSIC, HEADER, QUICK, RECORD, ROW


def test_what_would_change_the_answer_most_is_what_the_model_says(service: Stack) -> None:
    page = page_of(service, QUICK, **RECORD)
    statuses = page.choices("marital_status")
    asked = [RECORD, *(RECORD | {"marital_status": name} for name in statuses)]
    answer = service.request("POST", "/api/v1/predictions", json={"records": asked}).json()
    now, *others = (item["probability"] for item in answer["predictions"])
    then, label = max(zip(others, statuses.values(), strict=True))
    words = f"Marital status {label} instead of Never married: {then:.1%} (+{(then - now) * 100:.1f} points)"
    assert words in page.text("outcome")


def test_the_result_has_a_link_that_opens_the_form_with_the_same_values(service: Stack) -> None:
    for page in (page_of(service, QUICK, **RECORD), page_of(service, "/probability", **CLASSIC)):
        (link,) = page.all("a", id="permalink")
        again = Page(service.get(link.attrib["href"]))
        assert again.values("get") == page.values("get")
        assert again.text("outcome") == page.text("outcome")


def test_the_page_of_a_done_job_shows_its_results_in_numbers(service: Stack, job_path: str) -> None:
    page = ended_job(service, job_path)
    summary = service.get(f"/api/v1{job_path}/summary").json()
    assert [int(row[1]) for row in page.rows("histogram-table")] == summary["probability"]["counts"]
    outputs = page.all("output")
    shown = {output.attrib["data-decision"]: output.text for output in outputs if "data-decision" in output.attrib}
    assert shown == {"positive": "0", "negative": "1"}
    rows = page.rows("results")
    assert [row[0] for row in rows] == ["1", "2", "3", "4"]
    assert rows[0][1:3] == ["<=50K", "0.150521"], "the answers stand where nobody has to scroll"
    assert "is not a number" in rows[1][1]
    assert "<b>old</b>" in rows[1]


def test_another_file_can_be_uploaded_with_the_threshold_of_a_job(service: Stack) -> None:
    path = upload_by_form(service, f"{HEADER}\n{ROW}\n".encode(), threshold="0.35").headers["Location"]
    (upload,) = [link for link in ended_job(service, path).links() if link.endswith("#upload")]
    assert Page(service.get(upload)).values("post")["threshold"] == "0.35"
    service.request("POST", f"{path}/delete")


def test_the_page_of_a_model_shows_its_card(service: Stack) -> None:
    card = service.get("/api/v1/models/income").json()
    text = page_of(service, "/models/income").text("main")
    for words in (card["version"], "32,561 rows", "16,281 records", f"{card['metrics']['roc_auc']:.4f}", "CC BY 4.0"):
        assert words in text

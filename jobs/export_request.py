"""What results are exported as, and what the web tells the process that does it."""

from enum import StrEnum
from typing import Any

from pydantic import BaseModel

from jobs.settings import Settings

CELL_TOO_LONG, INCOMPLETE = 3, 4
"""Exit codes: a text does not fit into a cell; results are gone."""


class ExportFormat(StrEnum):
    """The formats of results."""

    CSV = "csv"
    EXCEL_CSV = "excel-csv"
    XLSX = "xlsx"
    PARQUET = "parquet"
    JSONL = "jsonl"


MEDIA_TYPES = {
    ExportFormat.CSV: "text/csv",
    ExportFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ExportFormat.PARQUET: "application/vnd.apache.parquet",
    ExportFormat.JSONL: "application/x-ndjson",
}
"""Media types by which a client can ask; that of ``excel-csv`` is CSV's."""


class ExportRequest(BaseModel):
    """The job and the format; ``store`` are the settings that the process needs to reach the store."""

    job_id: str
    format: ExportFormat
    follow: bool
    memory_mib: int
    store: dict[str, Any]

    @classmethod
    def of(cls, job_id: str, kind: ExportFormat, follow: bool, settings: Settings) -> "ExportRequest":
        """Return the request for one job."""
        names = {"redis_url", "redis_ca", "storage_url", "data_dir", "store_timeout_seconds", "store_risks"}
        store = settings.model_dump(mode="json", include=names)
        return cls(job_id=job_id, format=kind, follow=follow, memory_mib=settings.worker_memory_mib, store=store)

    def settings(self) -> Settings:
        """Return settings with which the process reaches the store."""
        return Settings(**self.store)

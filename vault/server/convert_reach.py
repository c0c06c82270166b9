"""Messages of blast radius and access history, to the model and back; see `convert`."""

# ruff: noqa: D103 - the writers are named after the message that they write

from collections.abc import Mapping

from customervault.v1 import audit_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from vault.errors import InvalidRequestError
from vault.model.blast import BlastQuery, BlastRadius, CustomerReads, LogCoverage, ReadCounts
from vault.model.history import AccessEvent, AccessHistory, HistoryQuery
from vault.server.convert import END_OF_TIME_MS, from_basis, timestamp, to_page_size, to_ref


def to_blast_query(message: pb.GetBlastRadiusRequest) -> BlastQuery:
    """Whose reads are asked for, and of when."""
    if message.page_size < 0:
        raise InvalidRequestError("page_size: must not be negative", field="page_size")
    return BlastQuery(
        principal=message.principal,
        purpose=message.purpose,
        start_ms=_to_ms(message.start_time),
        end_ms=_to_ms(message.end_time),
        domain=message.domain,
        page_size=message.page_size,
        page_token=message.page_token,
    )


def to_history_query(message: pb.GetAccessHistoryRequest) -> HistoryQuery:
    """Whose history, in which language."""
    return HistoryQuery(
        customer=to_ref(message.customer),
        locale=message.locale,
        start_ms=_to_ms(message.start_time),
        end_ms=_to_ms(message.end_time) if message.HasField("end_time") else END_OF_TIME_MS,
        page_size=to_page_size(message.page_size),
        page_token=message.page_token,
    )


def blast_radius(page: BlastRadius) -> pb.GetBlastRadiusResponse:
    return pb.GetBlastRadiusResponse(
        customers=[customer_reads(each) for each in page.customers],
        next_page_token=page.next_page_token,
        end_time=timestamp(page.end_ms),
        first_time=timestamp(page.first_ms),
        last_time=timestamp(page.last_ms),
        totals=read_counts(page.totals),
        unnamed=[pb.ReasonCount(reason=reason, items=items) for reason, items in page.unnamed.items()],
        calls=[
            pb.CallCount(
                action=each.action, break_glass=each.break_glass, reason=each.reason, calls=each.calls
            )
            for each in page.calls
        ],
        coverage=log_coverage(page.coverage),
        locators=page.locators,
        locators_found=page.locators_found,
    )


def customer_reads(row: CustomerReads) -> pb.CustomerReads:
    return pb.CustomerReads(
        customer_token=row.customer_token,
        jurisdiction=row.jurisdiction,
        first_time=timestamp(row.first_ms),
        last_time=timestamp(row.last_ms),
        counts=read_counts(row.counts),
    )


def read_counts(counts: Mapping[str, ReadCounts]) -> list[pb.ReadCounts]:
    return [
        pb.ReadCounts(
            field_class=name,
            plain=each.plain,
            masked=each.masked,
            denied=each.denied,
            values=each.values,
            answered=each.answered,
        )
        for name, each in sorted(counts.items())
    ]


def log_coverage(coverage: LogCoverage) -> pb.LogCoverage:
    return pb.LogCoverage(
        leaves=coverage.leaves,
        records=coverage.records,
        records_sealed=coverage.records_sealed,
        unsealed_time=timestamp(coverage.unsealed_ms),
        gaps=[
            pb.LogGap(start_time=timestamp(gap.start_ms), end_time=timestamp(gap.end_ms), cause=gap.cause)
            for gap in coverage.gaps
        ],
        gap_count=coverage.gap_count,
        removed=coverage.removed,
        removed_time=timestamp(coverage.removed_until_ms),
        damaged=coverage.damaged,
    )


def access_history(page: AccessHistory) -> pb.GetAccessHistoryResponse:
    return pb.GetAccessHistoryResponse(
        events=[access_event(each) for each in page.events],
        next_page_token=page.next_page_token,
        locale=page.locale,
        removed_time=timestamp(page.removed_until_ms),
    )


def access_event(event: AccessEvent) -> pb.AccessEvent:
    return pb.AccessEvent(
        time=timestamp(event.time_ms),
        principal=event.principal,
        action=event.action,
        purpose=event.purpose,
        purpose_description=event.purpose_description,
        lawful_basis=from_basis(event.basis),
        basis_stated=event.basis_stated,
        counts=read_counts(event.counts),
        reasons=event.reasons,
        break_glass=event.break_glass,
        text=event.text,
        leaf=event.leaf,
    )


def _to_ms(time: Timestamp) -> int:
    """Whole milliseconds, rounded up: right for an inclusive start and for an exclusive end alike."""
    return time.seconds * 1000 + -(-time.nanos // 1_000_000)

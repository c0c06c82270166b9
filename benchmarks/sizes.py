"""How much is measured."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Size:
    """One size of the suite.

    Attributes:
        values: In the store that most questions share.
        stores: Values of the stores that are compared by size.
        runs: Of single values and batches, whose efficiencies matter most.
        side_runs: Of everything else that takes turns.
        seconds: Of one run over gRPC.
        c_seconds: Of one run of the C loop.
        latency_seconds: Of a run of an open loop at one rate.
        contacts: Imported in one run.
        overload_seconds: Of an open or closed loop of a worker that is asked for too much.
        storm_values: In the store in which customers are shredded.
        storm_seconds: Of a stretch with shreds, where there are customers enough.
        suite_values: In the stores of the other AEAD.
        import_runs: Of the import.
    """

    values: int
    stores: tuple[int, ...]
    runs: int
    side_runs: int
    seconds: float
    c_seconds: float
    latency_seconds: float
    contacts: int
    overload_seconds: float
    storm_values: int
    storm_seconds: float
    suite_values: int
    import_runs: int


TINY = Size(
    values=5_000,
    stores=(5_000,),
    runs=1,
    side_runs=1,
    seconds=0.1,
    c_seconds=0.02,
    latency_seconds=0.2,
    contacts=100,
    overload_seconds=0.3,
    storm_values=5_000,
    storm_seconds=0.2,
    suite_values=5_000,
    import_runs=1,
)
BENCH = Size(
    values=1_000_000,
    stores=(100_000, 1_000_000),
    runs=5,
    side_runs=3,
    seconds=0.4,
    c_seconds=0.1,
    latency_seconds=1.0,
    contacts=6_000,
    overload_seconds=1.5,
    storm_values=100_000,
    storm_seconds=1.0,
    suite_values=100_000,
    import_runs=5,
)
FULL = Size(
    values=1_000_000,
    stores=(100_000, 1_000_000, 10_000_000),
    runs=5,
    side_runs=5,
    seconds=3.0,
    c_seconds=1.0,
    latency_seconds=10.0,
    contacts=100_000,
    overload_seconds=5.0,
    storm_values=500_000,
    storm_seconds=5.0,
    suite_values=1_000_000,
    import_runs=5,
)
SIZES = {"tiny": TINY, "bench": BENCH, "full": FULL}

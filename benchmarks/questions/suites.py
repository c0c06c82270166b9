"""What does the other AEAD change? AEGIS-256 instead of XChaCha20-Poly1305."""

from benchmarks.figures import Answer, Figure, merged, row_of
from benchmarks.stage import SHAPES, Stage
from vault.crypto.suites import AEGIS_256, SUITES, XCHACHA20_POLY1305

_BATCH = 1000


def ask(stage: Stage) -> Answer:
    """Two vaults with the same values, sealed by one and by the other."""
    rows: list[list[Figure]] = []
    for suite in (XCHACHA20_POLY1305, AEGIS_256):
        with stage.serving_of(stage.size.suite_values, suite) as serving:
            for shape in SHAPES:
                stage.tell(f"{SUITES[suite].name}: {shape}")
                script = serving.shaped(shape, _BATCH)
                serving.warm_up(script)
                rates = stage.rounds(serving.contestants(script, stage.size))
                rows.append(row_of(f"{SUITES[suite].name}, {shape}", rates))
    return Answer(
        "suites",
        "XChaCha20-Poly1305 and AEGIS-256",
        f"Batches of 1,000 from {stage.size.suite_values:,} values, values a second for each core. "
        "AEGIS-256 is fast where the processor has AES instructions.",
        merged(rows),
    )

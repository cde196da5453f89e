"""What ten million scans cost on a cluster, reckoned from what one machine does: the table of docs/archive.md.

python scripts/archive_costs.py
"""

from __future__ import annotations

SCANS = 10_000_000
# Measured on two cores of Zen 4 (docs/archive.md says how).
PAGES_PER_CORE_S = 3.05  # both cores busy, drawn pages and photographs 4 to 1
BYTES_IN = 703_000  # of an input of that archive, mean
BYTES_OUT = 296  # of a row in Parquet, zstd
DRIVER_PAGES_S = 1_950  # that one driver hands out and takes back through Ray, with work that takes no time
# Taken for the reckoning.
CORES = 16  # of a machine
USD_PER_CORE_HOUR = 0.05
LINK_BYTES_S = 1.25e9  # of a file server: ten gigabits a second


def table() -> str:
    """Markdown, a row a size of cluster."""
    head = "| machines | pages/s | hours | core-hours | USD | from the source | file servers at 10 Gbit/s | drivers |"
    lines = [head, "|" + "---|" * 8]
    for machines in (10, 100, 1000):
        speed = machines * CORES * PAGES_PER_CORE_S
        hours = SCANS / speed / 3600
        core_hours = hours * machines * CORES
        usd = core_hours * USD_PER_CORE_HOUR
        read = speed * BYTES_IN
        lines.append(
            f"| {machines:,} | {speed:,.0f} | {hours:.2f} | {core_hours:,.0f} | {usd:,.0f} | "
            f"{read / 1e9:.2f} GB/s | {-(-read // LINK_BYTES_S):.0f} | {-(-speed // DRIVER_PAGES_S):.0f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
    print(f"\n{SCANS * BYTES_IN / 1e12:.1f} TB in, {SCANS * BYTES_OUT / 1e9:.1f} GB out")

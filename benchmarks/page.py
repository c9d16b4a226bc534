"""Make the page of results: Markdown, and HTML with its plots. No figure is typed by hand.

    python benchmarks/page.py [--readme docs/benchmarks.md]

Makes results/page.md and results/page.html from results/*.json; or puts the headlines into a table
of another page, between its marks.
"""

from __future__ import annotations

import argparse
import html
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import charts
from charts import number
from results import FOLDER, Curve, Figure, Race, Results, load

# Each of them is tested wherever a processor or an emulator runs it.
SIMD_PATHS = ("baseline", "avx2", "avx512", "neon")

# Rows of docs/benchmarks.md: case, ours, theirs, and the goal of the ratio.
HEADLINES = [
    ("VXLAN IPv4, 44 x 1448", "segment_batch", "memcpy (L)", 0.7),
    ("VXLAN IPv4, 44 x 1448", "segment_batch", "DPDK, zero-copy", 1),
    ("VXLAN IPv4, 44 x 1448", "segment_batch", "DPDK, finished", 4),
    ("VXLAN IPv4, 44 x 1448", "segment_headers", "DPDK, zero-copy", 1.5),
    ("plain IPv4, 44 x 1448", "segment_batch", "wireguard-go", None),
    ("plain IPv4, 44 x 1448", "segment_batch", "kernel through TUN", 10),
    ("VXLAN IPv4, 44 x 1448", "segment_batch", "kernel through TUN", 10),
    ("VXLAN IPv4, 44 x 1448, batch of 4", "segment_batch", "NumPy", 15),
    ("VXLAN IPv4, 44 x 1448, batch of 64", "segment_batch", "NumPy", 15),
    ("VXLAN IPv4, 44 x 1448", "segment", "dpkt", 1000),
    ("VXLAN IPv4, 44 x 1448", "segment", "scapy", 10000),
    ("VXLAN IPv4, 1448 + 12", "segment_batch", "DPDK, zero-copy", 1),
    ("VXLAN IPv4, 1448 + 12", "segment_batch", "DPDK, finished", 2.3),
    ("VXLAN IPv4, 44 x 1448, 256 MiB cold", "segment_batch", "memcpy (L)", 1.2),
    ("VXLAN IPv4, 44 x 1448, 256 MiB cold", "segment_batch", "our own single thread", 1.8),
    ("VXLAN IPv4, 44 x 1448, 256 MiB cold", "memcpy (L), 2 threads", "memcpy (L)", None),
    ("VXLAN IPv4, 44 x 1448, 256 MiB cold", "segment_batch", "memcpy (L), 2 threads", None),
    ("VXLAN IPv4, 1448 + 12, batch of 4096", "segment_batch", "our own single thread", 1.7),
    ("VXLAN IPv4, 1448 + 12, batch of 4096", "memcpy (L), 2 threads", "memcpy (L)", None),
    ("VXLAN IPv4, 44 x 1448", "coalesce", "memcpy (L)", 0.6),
    ("VXLAN IPv4, 44 x 1448", "coalesce", "DPDK, chained", None),
    ("VXLAN IPv4, 44 x 1448", "coalesce", "DPDK, finished", 1),
    ("plain IPv4, 44 x 1448", "coalesce", "wireguard-go", 1),
    ("plain IPv4, 44 x 1448", "coalesce", "kernel's GRO through TUN", 1),
    ("VXLAN IPv4, 16 of 44 x 1448", "encapsulate", "memcpy (L)", 0.77),
    ("VXLAN IPv4, 1024 of 1448", "encapsulate", "memcpy (L)", 0.77),
    ("VXLAN IPv4, 64 of 1448", "encapsulate", "memcpy (L)", 0.77),
    ("VXLAN IPv4, 44 x 1448, 32 MiB cold", "encapsulate", "memcpy (L)", 0.77),
    ("VXLAN IPv4, one of 1448", "encapsulate", "scapy", None),
    ("VXLAN IPv4, 1024 of 1448", "decapsulate", "memcpy (L)", None),
    ("64 bytes, a batch, hot", "checksum_batch", "DPDK rte_raw_cksum", 1),
    ("1448 bytes, a batch, hot", "checksum_batch", "read and add", 0.9),
    ("9000 bytes, a batch, hot", "checksum_batch", "read and add", 0.9),
    ("VXLAN IPv4", "parse", "scapy", None),
    ("perf script", "TraceReader", "Python re", None),
    ("perf script", "TraceReader", "mawk", None),
    ("perf script", "TraceReader", "grep -F", 0.4),
    ("perf script", "TraceReader, 2 threads", "grep -F", 0.7),
    ("perf script", "read_trace", "grep -F", None),
    ("pwru", "TraceReader", "grep -F", 0.4),
    ("pwru", "TraceReader, 2 threads", "grep -F", 0.7),
    ("rows, every second one wrong", "validate_batch", "NumPy or (L)", None),
    ("rows, no two alike", "validate_batch", "NumPy or (L)", None),
    ("pcapng", "read_capture", "dpkt", None),
    ("pcapng, nothing to do", "gso segment", "editcap", None),
    ("pcapng, nothing to do", "gso segment", "cp", 0.8),
    ("pcapng of super-packets", "gso segment", "cp", 0.6),
    ("pcapng of super-packets, nothing to do", "gso coalesce", "cp", 0.8),
    ("pcapng of segments", "gso coalesce", "cp", 0.6),
    ("TCP over IPv4, MTU 1468", "GSO and GRO", "packet by packet", 10),
    ("TCP over IPv4, MTU 1468", "GSO and GRO", "wireguard-go's TUN and UDP", None),
    ("TCP over IPv4, MTU 1468", "GSO and GRO", "the kernel's own", 0.5),
]


BEGIN, END = "<!-- benchmarks/page.py --readme: begin -->", "<!-- benchmarks/page.py: end -->"


@dataclass
class Table:
    """Rows of text."""

    head: list[str]
    rows: list[list[str]]

    def numeric(self, column: int) -> bool:
        """Whether a column has numbers only, but for its head. The first names the rows."""
        cells = [row[column] for row in self.rows if row[column]]
        return column > 0 and all(cell[0].isdigit() and " of " not in cell for cell in cells)


@dataclass
class Section:
    """A heading, and what stands below it in this order."""

    title: str
    level: int = 2
    text: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    charts: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


def times(seconds: float) -> str:
    """Seconds in the unit that fits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{number(seconds / size)} {unit}"
    return f"{number(seconds * 1e9)} ns"


def lost(results: Results) -> list[list[Race]]:
    """Contests that peers won, by peer and our function; the clearest first."""
    groups: dict[tuple[str, str], list[Race]] = {}
    for race in results.races:
        if race.ratio < 1 and not race.limit:
            groups.setdefault((race.area, race.column), []).append(race)
    for group in groups.values():
        group.sort(key=lambda race: race.ratio)
    return sorted(groups.values(), key=lambda group: group[0].ratio)


# ---- the sections ----------------------------------------------------------------------------


def simd_paths(timed: str) -> str:
    """Which of the library's paths the times are of, and which the tests alone run."""
    others = ", ".join(path for path in SIMD_PATHS if path != timed)
    return f"SIMD path timed: {timed}; only tested: {others}"


def introduction(results: Results) -> Section:
    machine = results.machine
    versions = ", ".join(f"{name} {said}" for name, said in machine["versions"].items() if said)
    text = [
        f"{machine['processor']}, {machine['cores']} cores, memory {machine['memory']}, Linux "
        f"{machine['kernel']}, Python {machine['python']}, {machine['compiler']}; pinned to core "
        f"{machine['pinned_to']}; load when it began {machine['load']:.2f}.",
        f"{simd_paths(machine['simd'])}.",
        f"Measured from {min(results.dates)} to {max(results.dates)}. {versions}.",
        "A ratio says how many times as long the peer takes for the same work: above 1 ours is "
        "faster. Both sides run in turn, round after round, in one run; a ratio is that of the "
        "least times. (L) marks a limit of the machine, not a rival. Every peer's output was "
        "compared with ours before it was timed.",
    ]
    if results.quick:
        text.insert(0, "**Quick run**: few rounds and small files, for a look only.")
    return Section("Benchmarks of pygso", 1, text)


def losses(results: Results) -> Section:
    section = Section("Where a peer wins")
    groups = lost(results)
    if not groups:
        section.text.append("Nowhere in this run.")
        return section
    rows = []
    for group in groups:
        worst = group[0]
        same = [r for r in results.races if (r.area, r.column) == (worst.area, worst.column)]
        rows.append(
            [
                f"{worst.theirs} : {worst.ours}",
                f"{len(group)} of {len(same)}",
                worst.case,
                times(worst.theirs_seconds),
                times(worst.ours_seconds),
                number(1 / worst.ratio),
                worst.leaves_out,
            ]
        )
    head = [
        "theirs : ours", "cases", "the clearest", "theirs takes", "ours takes", "times as long",
        "what the peer does otherwise",
    ]  # fmt: skip
    section.tables.append(Table(head, rows))
    return section


def missing(results: Results) -> Section:
    return Section("Not measured here", notes=results.skipped)


def ratio_table(races: Sequence[Race]) -> Table:
    """Cases down, peers across."""
    columns = list(dict.fromkeys(race.column for race in races))
    cells: dict[str, dict[str, str]] = {}
    for race in races:
        cells.setdefault(race.case, {})[race.column] = number(race.ratio)
    rows = [[case, *(row.get(column, "") for column in columns)] for case, row in cells.items()]
    return Table(["theirs : ours", *columns], rows)


def area_ratios(area: str, races: Sequence[Race]) -> Section:
    rows: dict[str, list[tuple[float, str]]] = {}
    for race in races:
        rows.setdefault(race.column, []).append((race.ratio, race.case))
    remarks = dict.fromkeys(f"{r.theirs}: {r.leaves_out}" for r in races if r.leaves_out)
    return Section(
        area.capitalize(),
        3,
        notes=list(remarks),
        charts=[charts.ratios(f"{area}: time of theirs / time of ours", rows)],
        tables=[ratio_table(races)],
    )


def rate(race: Race, seconds: float) -> str:
    return f"{number(race.bytes / seconds / 1e9)}" if race.bytes else ""


def area_figures(area: str, races: Sequence[Race], figures: Sequence[Figure]) -> Section:
    section = Section(area.capitalize(), 3)
    if races:
        rated = any(race.bytes for race in races)
        head = ["case", "ours", "theirs", "ours takes", "theirs takes", "ratio", "quartiles"]
        rows = [
            [
                race.case,
                race.ours,
                race.theirs,
                times(race.ours_seconds),
                times(race.theirs_seconds),
                number(race.ratio),
                " to ".join(number(end) for end in race.spread),
                *(
                    [rate(race, race.ours_seconds), rate(race, race.theirs_seconds)]
                    if rated
                    else []
                ),
                race.remark,
            ]
            for race in races
        ]
        head += ["ours GB/s", "theirs GB/s"] if rated else []
        section.tables.append(Table([*head, "remark"], rows))
        units = sorted({race.unit for race in races})
        section.text.append(f"Times are those of one {' or '.join(units)}.")
    if figures:
        rows = [
            [
                figure.case,
                times(figure.seconds),
                "; ".join(
                    f"{name.replace('_', ' ')} "
                    f"{number(value) if isinstance(value, (int, float)) else value}"
                    for name, value in figure.facts.items()
                ),
            ]
            for figure in figures
        ]
        section.tables.append(Table(["measured alone", "takes", "more"], rows))
    return section


def _signed(seconds: float) -> str:
    return times(seconds) if seconds >= 0 else f"-{times(-seconds)}"


def fitted_table(group: Sequence[Curve]) -> Table:
    """Say how each grows, in a line."""
    first, last = group[0].points[0][0], group[0].points[-1][0]
    head = ["what", "fixed cost", "each one more", f"at {first:,.0f}", f"at {last:,.0f}"]
    rows = [
        [
            curve.case,
            times(curve.fixed) if curve.fixed > 0 else "none seen",
            _signed(curve.slope),
            times(curve.points[0][1]),
            times(curve.points[-1][1]),
        ]
        for curve in group
    ]
    return Table(head, rows)


def threads_table(group: Sequence[Curve]) -> Table:
    """Threads divide the work: what counts is how many times as fast they are."""
    threads = [n for n, _ in group[0].points]
    rows = [
        [
            curve.case,
            *(times(seconds) for _, seconds in curve.points),
            f"{curve.points[0][1] / curve.points[-1][1]:.2f}",
        ]
        for curve in group
    ]
    return Table(["what", *(f"with {n:.0f}" for n in threads), "times as fast"], rows)


def growth(curves: Sequence[Curve]) -> list[Section]:
    sections = []
    for x in dict.fromkeys(curve.x for curve in curves):
        group = [curve for curve in curves if curve.x == x]
        lines = {curve.case: [(a, b * 1e6) for a, b in curve.points] for curve in group}
        table = threads_table(group) if x == "threads" else fitted_table(group)
        chart = charts.curves(f"Time over {x}", x, "us", lines)
        sections.append(Section(f"Over {x}", 3, charts=[chart], tables=[table]))
    return sections


def document(results: Results) -> list[Section]:
    """The whole page: ratios first, figures second."""
    by_area = {a: [r for r in results.races if r.area == a] for a in results.areas()}
    limits = {a: [r for r in races if r.limit] for a, races in by_area.items()}
    sections = [introduction(results), losses(results), Section("Against the limit of the machine")]
    sections += [area_ratios(area, races) for area, races in limits.items() if races]
    sections.append(Section("Against each peer"))
    for area, races in by_area.items():
        peers = [race for race in races if not race.limit]
        if peers:
            sections.append(area_ratios(area, peers))
    if results.curves:
        sections += [
            Section("Growth", text=["Straight lines fitted to the times, small ones weighing as "
                                    "much as large ones."]),
            *growth(results.curves),
        ]  # fmt: skip
    sections.append(Section("Figures"))
    figures = {f.area: [g for g in results.figures if g.area == f.area] for f in results.figures}
    for area in [*by_area, *(a for a in figures if a not in by_area)]:
        sections.append(area_figures(area, by_area.get(area, []), figures.get(area, [])))
    if results.skipped:
        sections.append(missing(results))
    return sections


# ---- Markdown and HTML -----------------------------------------------------------------------


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def markdown_table(table: Table) -> list[str]:
    rule = ["---:" if table.numeric(i) else "---" for i in range(len(table.head))]
    lines = [table.head, rule, *table.rows]
    return ["| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines]


def markdown(sections: Iterable[Section], pictures: Path | None = None) -> str:
    """The page; its plots go as files into `pictures`."""
    lines: list[str] = []
    drawn = 0
    for section in sections:
        lines += ["#" * section.level + " " + section.title, ""]
        for text in section.text:
            lines += [text, ""]
        if section.notes:
            lines += [*(f"- {note}" for note in section.notes), ""]
        for chart in section.charts if pictures is not None else []:
            assert pictures is not None
            drawn += 1
            name = f"chart-{drawn}.svg"
            (pictures / name).write_text(chart)
            lines += [f"![{section.title}]({name})", ""]
        for table in section.tables:
            lines += [*markdown_table(table), ""]
    return "\n".join(lines)


STYLE = """
body { font-family: sans-serif; max-width: 75em; margin: 2em auto; padding: 0 1em; color: #222; }
table { border-collapse: collapse; font-size: 85%; display: block; overflow-x: auto; }
th, td { border-bottom: 1px solid #ddd; padding: 0.25em 0.6em; text-align: left; }
td.n, th.n { text-align: right; white-space: nowrap; }
td:first-child { white-space: nowrap; }
svg { max-width: 100%; height: auto; }
"""


def html_table(table: Table) -> str:
    kinds = [" class=n" if table.numeric(i) else "" for i in range(len(table.head))]

    def row(cells: Sequence[str], tag: str) -> str:
        made = (
            f"<{tag}{kind}>{html.escape(cell)}</{tag}>"
            for kind, cell in zip(kinds, cells, strict=True)
        )
        return f"<tr>{''.join(made)}</tr>"

    body = "".join(row(cells, "td") for cells in table.rows)
    return f"<table><thead>{row(table.head, 'th')}</thead><tbody>{body}</tbody></table>"


def html_page(sections: Sequence[Section]) -> str:
    """The page as one file."""
    parts = []
    for section in sections:
        parts.append(f"<h{section.level}>{html.escape(section.title)}</h{section.level}>")
        parts += [f"<p>{html.escape(text.replace('**', ''))}</p>" for text in section.text]
        if section.notes:
            items = "".join(f"<li>{html.escape(note)}</li>" for note in section.notes)
            parts.append(f"<ul>{items}</ul>")
        parts += section.charts
        parts += [html_table(table) for table in section.tables]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{html.escape(sections[0].title)}</title><style>{STYLE}</style></head>"
        f"<body>{''.join(parts)}</body></html>\n"
    )


def readme(results: Results) -> str:
    """The table of docs/benchmarks.md: headlines with their goals."""
    rows = []
    for case, ours, theirs, goal in HEADLINES:
        race = results.race(case, ours, theirs)
        if race is None:
            continue
        unit = "" if race.unit == "super-packet" else f" ({race.unit})"
        rows.append(
            [
                f"{case}{unit}",
                race.ours,
                race.theirs + (f" ({race.leaves_out})" if race.leaves_out else ""),
                times(race.ours_seconds),
                times(race.theirs_seconds),
                number(race.ratio),
                "" if goal is None else number(goal),
            ]
        )
    head = ["case", "ours", "theirs", "ours takes", "theirs takes", "ratio", "goal"]
    machine = results.machine
    about = f"{machine['processor']}, Python {machine['python']}, {max(results.dates)[:10]}"
    about += f". {simd_paths(machine['simd'])}"
    quick = " (quick run)" if results.quick else ""
    return "\n".join([f"{about}{quick}", "", *markdown_table(Table(head, rows))])


def replace_table(text: str, table: str, begin: str = BEGIN, end: str = END) -> str:
    """Put the table between the marks of a page.

    Raises:
        ValueError: the page has no marks, or more than one pair.
    """
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"it needs one line {begin!r} and one {end!r}")
    before, rest = text.split(begin)
    return f"{before}{begin}\n\n{table}\n\n{end}{rest.split(end)[1]}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page, or put the headlines into another one."""
    parser = argparse.ArgumentParser(description="Make the page of benchmark results.")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the results are")
    parser.add_argument(
        "--readme", type=Path, metavar="FILE", help="put the headlines there instead"
    )
    options = parser.parse_args(arguments)
    paths = sorted(options.folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
    if not paths:
        print(f"no results in {options.folder}: run make bench first", file=sys.stderr)
        return 2
    results = load(paths)
    if options.readme:
        text = options.readme.read_text()
        try:
            options.readme.write_text(replace_table(text, readme(results)))
        except ValueError as error:
            print(f"{options.readme}: {error}", file=sys.stderr)
            return 2
        return 0
    sections = document(results)
    (options.folder / "page.md").write_text(markdown(sections, options.folder))
    (options.folder / "page.html").write_text(html_page(sections))
    print(options.folder / "page.md")
    print(options.folder / "page.html")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""`make bench`: R, the bank and its peers side by side, in rounds; the table goes to docs/benchmarks.md.

ROUNDS (5), SECONDS (5) for each contender, QUICK=1 (one round of 2 s, smaller tables) and ONLY=part,part come from
the environment. With ONLY, and when the books were wrong, the file is left as it is.
"""

import os

import django

django.setup()

from django.db import connections  # noqa: E402

from tests.benchmarks import contenders, report, web  # noqa: E402
from tests.benchmarks.books import Books  # noqa: E402
from tests.benchmarks.figures import Figure  # noqa: E402
from tests.benchmarks.parts import OTHERS  # noqa: E402
from tests.benchmarks.peers import run as peers  # noqa: E402
from tests.benchmarks.report import Results  # noqa: E402
from tests.benchmarks.yardstick import Yardstick  # noqa: E402

QUICK = os.environ.get("QUICK", "") not in ("", "0", "false")
ROUNDS = int(os.environ.get("ROUNDS") or (1 if QUICK else 5))
SECONDS = float(os.environ.get("SECONDS") or (2 if QUICK else 5))
IN_ROUNDS = [*dict.fromkeys(contender.part for contender in contenders.HTTP), "bare", "inprocess", "peers"]
PARTS = [*IN_ROUNDS, *OTHERS]
ONLY = [part for part in os.environ.get("ONLY", "").split(",") if part] or PARTS


def main() -> None:
    if unknown := set(ONLY) - set(PARTS):
        raise SystemExit(f"ONLY names {', '.join(sorted(unknown))}; the parts are {', '.join(PARTS)}.")
    results = Results()
    if set(ONLY) & set(IN_ROUNDS):
        rounds(results)
    for name, part in OTHERS.items():
        if name in ONLY:
            part(results, QUICK)
    how = f"{ROUNDS} round{'s' if ROUNDS > 1 else ''} of {SECONDS:g} s each."
    text = report.document(results, ", ".join(PARTS), how)
    print(text)
    if not results.is_sound():
        raise SystemExit("There were errors, or the books were wrong: see above. docs/benchmarks.md is as it was.")
    if PARTS == ONLY:
        report.FILE.write_text(text, encoding="utf-8")


def rounds(results: Results) -> None:
    if {"bare", *(contender.part for contender in contenders.HTTP)} & set(ONLY):
        web.require_wrk()
    yardstick, books = Yardstick(), Books()
    try:
        installed = peers.install() if "peers" in ONLY else None
        for number in range(ROUNDS):
            print(f"round {number + 1} of {ROUNDS}", flush=True)
            one_round(results, yardstick, books, installed)
        prove(results)
    finally:
        books.close()


def one_round(results: Results, yardstick: Yardstick, books: Books, installed: "peers.Peers | None") -> None:
    measured: dict[tuple[str, int], Figure] = {}

    def against(spread: str, clients: int) -> Figure:
        """R, measured just before the first who is held against it in this round."""
        if (spread, clients) not in measured:
            figure = measured[spread, clients] = yardstick.measure(spread, clients, SECONDS)
            results.add("R" if spread == "uniform" else "R on one hot account", clients, figure, None)
        return measured[spread, clients]

    for fast_lane in (True, False):
        some = [each for each in contenders.HTTP if each.fast_lane is fast_lane and each.part in ONLY]
        if not some:
            continue
        with web.web_server(fast_lane=fast_lane) as url:
            contenders.over_http(books, url, some[0], 8, 1)  # connections and statements are prepared
            for each in some:
                for clients in each.clients:
                    bar = against(each.yardstick, clients)
                    figure = contenders.over_http(books, url, each, clients, SECONDS)
                    results.add(each.title, clients, figure, bar, each.goals.get(clients))
    if "bare" in ONLY:
        with web.bare_server() as url:
            for clients in (8, 32):
                bar, figure = against("uniform", clients), contenders.bare(books, url, clients, SECONDS)
                results.add("the web server alone, without a bank", clients, figure, bar)
    if "inprocess" in ONLY:
        for batch in (1, contenders.BULK):
            bar, figure = against("uniform", 1), contenders.in_process(books, batch, SECONDS)
            results.add(f"in process, execute() of {batch}", 1, figure, bar)
    if installed:
        for name in peers.NAMES:
            for clients in (8, 32):
                bar, figure = against("uniform", clients), installed.measure(name, clients, SECONDS)
                results.add(peers.NAMES[name], clients, figure, bar)


def prove(results: Results) -> None:
    """Every hash and every fold, once, after all rounds."""
    from accounts.verification import verify

    proof = verify()
    words = f"{proof.events} events, {proof.differences} differences"
    print(f"verify_ledger: {words}", flush=True)
    results.extra.append(("verify_ledger after all rounds", words, ""))
    if proof.differences:
        raise SystemExit("\n".join(proof.first_differences))


if __name__ == "__main__":
    try:
        main()
    finally:
        connections.close_all()

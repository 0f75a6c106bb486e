"""CPU, memory, disk and network of the bank's processes and of their machine, from /proc (proc(5))."""

import os
import shutil
import socket
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import structlog
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from ops import board
from ops.board.layout import directory

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
PROC = Path("/proc")
FACT = "process"
CHECKOUT = Path(__file__).resolve().parents[2]
log = structlog.get_logger(__name__)
DESCRIBED = {
    "bank_process_cpu_seconds": "CPU time of the bank's processes.",
    "bank_process_memory_bytes": "Resident memory of the bank's processes.",
    "bank_process_disk_read_bytes": "Bytes that the bank's processes had read from disk.",
    "bank_process_disk_written_bytes": "Bytes that the bank's processes had written to disk.",
    "bank_process_threads": "Threads of the bank's processes.",
    "bank_processes": "The bank's processes that live on this machine.",
    "machine_cpu_seconds": "CPU time of the machine, by what it was spent on.",
    "machine_memory_bytes": "Memory of the machine.",
    "machine_memory_available_bytes": "Memory that could be had without swapping.",
    "machine_disk_bytes": "Size of the file systems that hold the checkout, the log and BOARD_DIR, each once.",
    "machine_disk_free_bytes": "What is free of it.",
    "machine_network_received_bytes": "Bytes received, by device.",
    "machine_network_sent_bytes": "Bytes sent, by device.",
}
COUNTERS = {
    "bank_process_cpu_seconds",
    "bank_process_disk_read_bytes",
    "bank_process_disk_written_bytes",
    "machine_cpu_seconds",
    "machine_network_received_bytes",
    "machine_network_sent_bytes",
}


def labels_of(name: str) -> tuple[str, ...]:
    if name.startswith("bank_"):
        return ("process",)
    if name.startswith("machine_disk_"):
        return ("path",)
    return {"machine_cpu_seconds": ("mode",)}.get(name, ("device",) if "network" in name else ())


class Machine(Collector):
    def collect(self) -> Iterator[Metric]:
        """What this machine does not let it read is left out: the other metrics are worth their scrape."""
        for source in (_processes, _cpu, _memory, _disks, _network):
            try:
                yield from list(source())
            except OSError as error:
                log.warning("machine_not_measured", part=source.__name__.strip("_"), error=str(error))


def _family(name: str) -> CounterMetricFamily | GaugeMetricFamily:
    kind = CounterMetricFamily if name in COUNTERS else GaugeMetricFamily
    return kind(name, DESCRIBED[name], labels=labels_of(name))


def _processes() -> Iterator[Metric]:
    """Summed by what the processes are: a process id as a label would make a new series at each start."""
    sums: dict[str, defaultdict[str, float]] = {name: defaultdict(float) for name in DESCRIBED if "bank_" in name}
    for seen in board.boards():
        if seen.process["host"] == socket.gethostname():
            numbers = _of_process(seen.process["pid"])
        else:  # another container on the same volume, whose process only itself can see
            numbers = seen.facts.get(FACT, {})
        for name in sums.keys() & numbers.keys():
            sums[name][seen.process["role"]] += numbers[name]
    for name, by_command in sums.items():
        family = _family(name)
        for command, number in by_command.items():
            family.add_metric([command], number)
        yield family


def of_this_process() -> dict[str, float]:
    """What it tells on its board."""
    return _of_process(os.getpid())


def _of_process(pid: int) -> dict[str, float]:
    """Empty for one that has ended meanwhile."""
    try:
        stat = (PROC / f"{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return {}
    found = {
        "bank_processes": 1.0,
        "bank_process_cpu_seconds": (int(stat[11]) + int(stat[12])) / TICKS,
        "bank_process_threads": float(stat[17]),
        "bank_process_memory_bytes": float(int(stat[21]) * PAGE),
    }
    try:
        lines = dict(line.split(": ") for line in (PROC / f"{pid}/io").read_text().splitlines())
    except OSError:  # of another user
        return found
    return found | {
        "bank_process_disk_read_bytes": float(lines["read_bytes"]),
        "bank_process_disk_written_bytes": float(lines["write_bytes"]),
    }


def _cpu() -> Iterator[Metric]:
    family = _family("machine_cpu_seconds")
    spent = (PROC / "stat").read_text().splitlines()[0].split()[1:]
    for mode, ticks in zip(
        ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"), spent, strict=False
    ):
        family.add_metric([mode], int(ticks) / TICKS)
    yield family


def _memory() -> Iterator[Metric]:
    memory = dict(line.split(":") for line in (PROC / "meminfo").read_text().splitlines())
    for name, entry in (
        ("machine_memory_bytes", "MemTotal"),
        ("machine_memory_available_bytes", "MemAvailable"),
    ):
        family = _family(name)
        family.add_metric([], int(memory[entry].split()[0]) * 1024)
        yield family


def _disks() -> Iterator[Metric]:
    size, free = _family("machine_disk_bytes"), _family("machine_disk_free_bytes")
    for path in _places():
        disk = shutil.disk_usage(path)
        size.add_metric([str(path)], disk.total)
        free.add_metric([str(path)], disk.free)
    yield size
    yield free


def _places() -> list[Path]:
    """Where the bank's processes write on this machine, one for each file system. PostgreSQL's own disk may be
    another machine's: it is measured there."""
    written = [CHECKOUT, directory().resolve()]
    output = PROC / "self/fd/1"
    if output.is_file():  # the log
        written.insert(1, output.resolve().parent)
    written = [path for path in written if path.is_dir()]
    return list({path.stat().st_dev: path for path in reversed(written)}.values())


def _network() -> Iterator[Metric]:
    received, sent = _family("machine_network_received_bytes"), _family("machine_network_sent_bytes")
    for line in (PROC / "net/dev").read_text().splitlines()[2:]:
        device, _, numbers = line.partition(":")
        if not device.strip().startswith("veth"):  # one comes with each container, under a new name
            received.add_metric([device.strip()], int(numbers.split()[0]))
            sent.add_metric([device.strip()], int(numbers.split()[8]))
    yield received
    yield sent

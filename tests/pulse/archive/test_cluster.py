"""pulse-read on a real Ray cluster: a head and a second node, two processes of this machine that share nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial

import pytest
from PIL import Image
from reading import ROOT, many_pages, rows

from edge_runtime.bundle import Bundle
from pulse.archive.cli import main
from pulse.archive.reading import begin, failed
from pulse.archive.sources import Input
from pulse.runner import run_in

ray = pytest.importorskip("ray")
utils = pytest.importorskip("ray.cluster_utils")


@pytest.fixture(scope="module")
def cluster():
    """A head and no worker: each test adds the nodes that it wants."""
    # Two nodes on one machine look alike to Ray; what they run must find this tree, as an installed package is found.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    small = {"object_store_memory": 100 << 20, "include_dashboard": False}
    started = utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **small})
    yield started
    started.shutdown()


@pytest.fixture
def second(cluster):
    node = cluster.add_node(num_cpus=1, object_store_memory=100 << 20)
    cluster.wait_for_nodes()
    yield node
    if node in cluster.list_all_nodes():
        cluster.remove_node(node)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return many_pages(tmp_path_factory.mktemp("cluster") / "scans", 60)


@pytest.fixture(scope="module")
def undisturbed(archive, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    assert main([str(archive), "--out", str(out), "--processes", "2"]) == 0
    return rows(out)


def started(cluster, archive, out):
    argv = ["pulse-read", str(archive), "--out", str(out), "--ray", cluster.address, "--part", "4", "--json"]
    return subprocess.Popen(
        [sys.executable, "-m", "edge_runtime.commands", *argv], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def wait_for(out, parts, process):
    ends = time.monotonic() + 120
    while len(list(out.glob("part-*.parquet"))) < parts:
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < ends
        time.sleep(0.02)


@pytest.mark.slow
def test_a_node_that_is_killed_costs_no_row_and_gives_none_twice(cluster, second, archive, undisturbed, tmp_path):
    process = started(cluster, archive, tmp_path / "out")
    wait_for(tmp_path / "out", 3, process)
    cluster.remove_node(second, allow_graceful=False)
    said, error = process.communicate(timeout=300)
    assert process.returncode == 0, error.decode()
    assert json.loads(said)["inputs"] == 61
    assert rows(tmp_path / "out") == undisturbed


@pytest.mark.slow
def test_a_run_whose_driver_is_killed_goes_on(cluster, second, archive, undisturbed, tmp_path):
    for parts in (2, 5):
        process = started(cluster, archive, tmp_path / "out")
        wait_for(tmp_path / "out", parts, process)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    assert 0 < len(rows(tmp_path / "out")) < len(undisturbed)
    process = started(cluster, archive, tmp_path / "out")
    process.communicate(timeout=300)
    assert rows(tmp_path / "out") == undisturbed


class _TakesDown(Input):
    """An input whose arrival ends the process that it is sent to."""

    def __reduce__(self):
        return os._exit, (1,)


@pytest.mark.slow
def test_an_input_that_takes_its_worker_down_is_named(cluster, archive):
    from pulse.cluster import Cluster

    work = partial(begin, "pulse-nano", Bundle.read("pulse-nano").provenance.digest, None)
    good = [Input(path.name, path) for path in sorted(archive.glob("page-*"))[:6]]
    pool = Cluster(work, cluster.address, batch=4)
    found = [row for some in run_in(pool, [good[0], _TakesDown("down.png"), *good[1:]], lambda one: [failed(one, "!")])
             for row in some]  # fmt: skip
    assert {row.input: row.error for row in found} == {**{one.name: None for one in good}, "down.png": "!"}


@pytest.mark.slow
def test_a_machine_with_another_bundle_is_refused(cluster, archive):
    from edge_runtime.errors import UserError
    from pulse.cluster import Cluster

    with pytest.raises(UserError, match="is another bundle on"):
        list(run_in(Cluster(partial(begin, "pulse-nano", "0" * 64, None), cluster.address, 1), [Input("a", archive)]))


@pytest.mark.parametrize(
    ("address", "said"),
    [("nowhere", "is no address of a Ray cluster"), ("127.0.0.1:1", "no Ray cluster answers (")],
)
def test_no_cluster_is_one_line(address, said, tmp_path, capsys):
    (tmp_path / "a").mkdir()
    Image.new("L", (8, 8)).save(tmp_path / "a" / "page.png")
    assert main([str(tmp_path / "a"), "--out", str(tmp_path / "out"), "--ray", address]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1

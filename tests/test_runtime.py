import dataclasses
import os
import subprocess
import sys

import pytest
import torch

from dlp_lib import Runtime, environment
from dlp_lib.checking import check_fraction, check_int
from dlp_lib.fingerprint import fingerprint
from dlp_lib.runtime import keep_freed_memory


def numbers(runtime, *purpose):
    return torch.rand(4, generator=runtime.generator(*purpose)).tolist()


def test_streams_differ_by_purpose_index_and_seed_and_repeat():
    draws = [
        numbers(Runtime(seed), *purpose)
        for seed in (0, 1)
        for purpose in (("a", 1), ("a", 2), ("b", 1))
    ]
    assert len({tuple(draw) for draw in draws}) == 6
    assert numbers(Runtime(0), "a", 1) == draws[0]


def test_global_stream_is_seeded_inside_and_untouched_outside():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    with Runtime(0).global_stream("init"):
        first = torch.rand(2)
    with Runtime(0).global_stream("init"):
        assert torch.equal(torch.rand(2), first)
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": -1}, "seed=-1"),
        ({"seed": 0.5}, "seed=0.5"),
        ({"seed": True}, "seed=True"),
        ({"device": "abacus"}, "abacus"),
        ({"device": None}, "device=None"),
        (
            {"device": torch.device("mps")},
            r"device=device\(type='mps'\): allowed are 'cpu'.*mps is not",
        ),
        ({"device": "cuda:7"}, "device='cuda:7'"),
        ({"precision": "float16"}, "precision='float16'.*'bfloat16'"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        Runtime(**settings)


def test_auto_takes_what_there_is():
    assert Runtime(device="auto").device == ("cuda" if torch.cuda.is_available() else "cpu")


def test_a_device_may_be_torchs_own():
    runtime = Runtime(device=torch.device("cpu"))
    assert runtime == Runtime()
    assert runtime.device == "cpu"


def test_a_second_gpu_is_known_by_its_own_name(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", {"cuda": "one", "cuda:1": "other"}.get)
    assert Runtime(device="auto").device == "cuda"
    second = Runtime(device=torch.device("cuda", 1), captured=True)
    assert environment(second)["device"] == "other"
    with pytest.raises(ValueError, match=r"device='cuda:2': allowed are .*'cuda:1'"):
        Runtime(device="cuda:2")


def test_checks_name_parameter_and_value():
    assert check_int("e1", 3, 1) == 3
    assert check_fraction("gamma", 0.5) == 0.5
    for value in (0, 1, -0.1, 1.5, "0.1", True, float("nan")):
        with pytest.raises(ValueError, match="gamma="):
            check_fraction("gamma", value)
    with pytest.raises(ValueError, match=r"e1=0: allowed are whole numbers \(int\) ≥ 1"):
        check_int("e1", 0, 1)


def test_environment_says_where_a_result_comes_from():
    facts = environment(Runtime())
    assert facts["torch"] == torch.__version__
    assert facts["device"] == "cpu"
    assert facts["threads"] == torch.get_num_threads()


def test_environment_outside_a_checkout(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert environment(Runtime())["commit"] is None


def test_a_fingerprint_holds_what_decides_a_result():
    assert Runtime(1).__fingerprint__() == (1, "float32")
    plain = fingerprint(Runtime())
    assert fingerprint(Runtime(compiled=True)) == plain
    elsewhere = Runtime()
    object.__setattr__(elsewhere, "device", "cuda")  # as on a machine that has a GPU
    assert fingerprint(elsewhere) == plain
    assert fingerprint(Runtime(seed=1)) != plain
    assert fingerprint(Runtime(precision="bfloat16")) != plain
    assert {field.name for field in dataclasses.fields(Runtime)} == {
        "seed",
        "device",
        "precision",
        "compiled",
        "captured",
    }


def test_what_only_describes_or_speeds_up_has_no_share_in_a_fingerprint(monkeypatch):
    def run():
        keep_freed_memory()
        return environment(Runtime())

    before = fingerprint(run)
    monkeypatch.setattr("dlp_lib.runtime.PROJECT", "elsewhere")  # which environment reads
    monkeypatch.setattr("dlp_lib.runtime.ctypes", None)  # which keep_freed_memory reads
    assert fingerprint(run) == before


def test_only_training_steps_are_of_reduced_precision(model):
    images = torch.rand(2, 3, 16, 16)
    with Runtime(precision="bfloat16").autocast():
        assert model(images).dtype == torch.bfloat16
    with Runtime().autocast():
        assert model(images).dtype == torch.float32


FAULTS = """
import resource, sys, torch
from dlp_lib.runtime import keep_freed_memory

def faults():  # of pages, in making and freeing 64 MiB ten times
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(2**24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
print(keep_freed_memory(), [faults() for _ in range(3)][-1])
"""


def keeps_memory(**variables):
    """Whether a fresh process could keep its memory, and how many page faults it had."""
    names = [name for name in os.environ if not name.startswith(("MALLOC_", "GLIBC"))]
    inherited = {name: os.environ[name] for name in names}
    command = [sys.executable, "-c", FAULTS]
    environment = inherited | variables
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    answer, faults = run.stdout.split()
    return answer == "True", int(faults)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc is asked")
def test_freed_memory_is_kept_unless_the_environment_says_otherwise():
    works, few = keeps_memory()
    prevented, many = keeps_memory(MALLOC_ARENA_MAX="8")
    assert not prevented
    if works:  # not where the C library is another
        assert few < many / 2

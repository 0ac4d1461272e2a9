"""Small forms of benchmarks/limits/workloads.py: bits, limits and what is read; no times."""

import importlib.util
from pathlib import Path

import plimsoll.core as mx
import pytest

PATH = Path(__file__).parents[2] / "benchmarks" / "limits" / "workloads.py"
spec = importlib.util.spec_from_file_location("limit_workloads", PATH)
assert spec is not None
assert spec.loader is not None
workloads = importlib.util.module_from_spec(spec)
spec.loader.exec_module(workloads)


@pytest.fixture(autouse=True)
def restored_limit():
    limit, strict = mx.get_memory_limit(), mx.get_memory_strict()
    yield
    mx.set_memory_limit(limit, strict=strict)


def kept(found: dict) -> None:
    assert found["same"]
    assert found["peak"] <= found["limit"]


def test_passes_over_weights_read_less_than_lru_would():
    # The goal of 5 is not met: 3.8 in one evaluation and 4.4 in many were measured.
    found = workloads.passes_in_one(1.0)
    kept(found)
    assert found["LRU : loaded"] >= 3.5
    assert workloads.passes_in_many(1.0)["LRU : loaded"] >= 4


def test_products_of_operands_past_the_limit():
    found = workloads.matmul(0.5)
    kept(found)
    assert found["stage"] == "tile"
    found = workloads.gram(1.0)
    kept(found)
    assert found["loaded"] <= 1.05 * 131072 * 128 * 4  # each byte once


@pytest.mark.parametrize("op", ["cumsum", "mean", "var", "argsort"])
def test_short_axes_of_arrays_past_the_limit(op):
    found = workloads.short_axes(1.0, [op])[op]
    kept(found)
    assert found["loaded"] <= 1.05 * 131072 * 64 * 4
    assert found["written"] == 0


def test_sorts_of_arrays_four_times_the_limit():
    found = workloads.long_sorts(0.125, rounds=1)
    assert len(found) == 7
    for name, one in found.items():
        kept(one)
        assert one["stage"] == "tile"
        size = 2 * workloads.MB * (2 if name.endswith("bfloat16") else 4)
        assert one["limit"] <= size // 4 + workloads.MB
        assert one["loaded"] > size  # more passes than one


def test_cross_entropy_whose_logits_pass_the_limit():
    kept(workloads.cross_entropy(0.5))


@pytest.mark.parametrize("name", ["many_casts", "cast_chain"])
def test_casts_stay_in_the_room_of_a_few_arrays(name):
    found = getattr(workloads, name)(0.5)
    kept(found)
    assert found["loaded"] == found["written"] == 0


def test_random_arrays_are_summed_in_the_room_of_a_few():
    found = workloads.random_sum(0.5)
    kept(found)
    assert found["unlimited peak : array"] <= 4


def test_many_outputs_are_read_one_by_one():
    found = workloads.many_outputs(0.5)
    kept(found)
    assert found["written"] > 0


def test_training_steps_at_shares_of_their_peak():
    for found in workloads.training(0.25).values():
        kept(found)


def test_a_limit_that_just_suffices_changes_no_plan():
    assert workloads.just_enough(0.25, rounds=3)["rounds"] == 3

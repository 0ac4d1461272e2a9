"""Limits on random graphs in a process with small slabs and extents; test_properties.py runs it.

With them small graphs are evicted, tiled and recomputed as gigabytes are elsewhere. They are
chosen when the package starts, hence the process.
"""

import collections
import gc

import plimsoll.core as mx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from limits.graphs import SHARES, Graph, bits, graphs, settle

PAGE = 4096
gc.freeze()  # what the interpreter and the test tools hold stays out of every collection
done: collections.Counter[str] = collections.Counter()


def steps_of(plan: mx.MemoryPlan) -> list[str]:
    return [a.operation for a in plan.actions if a.kind == "run"]


# One in 25 of the graphs that are drawn computes something again; this one does.
@example(graph=Graph(96, (1, 7), (("cumsum", 6, 5, 3), ("cumsum", 0, 8, 0)), (0,), (5,)), share=0.8)
@given(graph=graphs(), share=st.sampled_from(SHARES))
def test_bits_are_the_unlimited_ones_and_the_peak_stays_below(graph: Graph, share: float):
    inputs, outputs, held = graph.build()
    mx.eval(outputs)
    want = bits(outputs + held)
    del inputs, outputs, held
    before, spilled = settle(), mx.memory_report().spilled

    inputs, outputs, held = graph.build()
    mx.clear_cache()
    plan = mx.memory_plan(outputs)
    limit = plan.floor + int(share * max(0, plan.unlimited_peak - plan.floor))
    del plan
    with mx.memory_limit(limit):
        mx.eval(outputs)
        report = mx.last_evaluation()
    assert report.peak <= limit
    assert bits(outputs + held) == want
    done[report.stage] += 1
    for counter in ("written", "loaded", "recomputed", "tiles"):
        done[counter] += getattr(report, counter) > 0

    del inputs, outputs, held
    assert settle() <= before
    assert mx.memory_report().spilled == spilled


@given(graph=graphs())
def test_the_floor_is_exact_to_a_page(graph: Graph):
    inputs, outputs, held = graph.build()
    mx.eval(outputs)
    want = bits(outputs + held)
    del inputs, outputs, held
    settle()

    inputs, outputs, held = graph.build()
    mx.eval(mx.array(inputs[0]))  # so that the last evaluation is a known one
    mx.clear_cache()
    plan, last, used = mx.memory_plan(outputs), repr(mx.last_evaluation()), mx.get_active_memory()
    floor, steps = plan.floor, steps_of(plan)
    del plan
    with mx.memory_limit(floor - PAGE), pytest.raises(mx.MemoryLimitError) as caught:
        mx.eval(outputs)
    assert caught.value.required == floor
    assert repr(mx.last_evaluation()) == last, "something ran"
    assert mx.get_active_memory() <= used
    assert steps_of(mx.memory_plan(outputs)) == steps, "an array lost its graph"
    mx.clear_cache()
    with mx.memory_limit(floor):
        mx.eval(outputs)
        assert mx.last_evaluation().peak <= floor
    assert bits(outputs + held) == want


def test_every_mechanism_was_used():
    assert {"fits", "evict", "tile"} <= done.keys(), done
    for counter in ("written", "loaded", "recomputed", "tiles"):
        assert done[counter] > 0, done

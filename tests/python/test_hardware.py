"""Names for hardware and processes that are not there do what the wheel does without them."""

import plimsoll.core as mx
import pytest

peer = pytest.importorskip("mlx.core")


def test_metal_and_cuda_are_absent():
    assert not mx.metal.is_available()
    assert not mx.cuda.is_available()
    assert set(dir(peer.metal)) <= set(dir(mx.metal))
    assert mx.metal.device_info() == {}
    assert mx.metal.start_capture("x.gputrace") is None
    assert mx.metal.stop_capture() is None
    assert mx.metal.get_cache_memory() == mx.get_cache_memory()


def test_kernels_for_gpus_are_refused():
    kernel = mx.fast.metal_kernel("copy", ["x"], ["y"], "y[0] = x[0];")
    with pytest.raises(RuntimeError, match="no Metal backend"):
        kernel(inputs=[mx.zeros(1)], grid=(1, 1, 1), threadgroup=(1, 1, 1))
    with pytest.raises(RuntimeError, match="no CUDA backend"):
        mx.fast.cuda_kernel("copy", ["x"], ["y"], "y[0] = x[0];")
    with pytest.raises(RuntimeError, match="no CUDA backend"):
        mx.fast.precompiled_cuda_kernel(
            name="copy", compiled_source=b"", inputs=[], output_shapes=[], output_dtypes=[],
            scalars=[], grid=(1, 1, 1), threadgroup=(1, 1, 1),
        )  # fmt: skip


def test_one_process_is_a_group():
    import plimsoll.core.distributed as distributed

    group = mx.distributed.init(backend="mpi")
    assert distributed is mx.distributed
    assert (group.size(), group.rank()) == (1, 0)
    a = mx.array([[1, 2]])
    for collective in ("all_sum", "all_max", "all_min", "all_gather", "sum_scatter"):
        assert getattr(distributed, collective)(a, group=group).tolist() == [[1, 2]]
        assert getattr(peer.distributed, collective)(peer.array([[1, 2]])).tolist() == [[1, 2]]
    assert distributed.all_sum(3).item() == 3
    assert not distributed.is_available("mpi")


def test_other_processes_are_refused():
    a = mx.zeros(2)
    for call in (lambda: mx.distributed.send(a, 0),
                 lambda: mx.distributed.recv((2,), mx.float32, 0),
                 lambda: mx.distributed.recv_like(a, 1)):  # fmt: skip
        with pytest.raises(ValueError, match="group of one"):
            call()
    with pytest.raises(RuntimeError, match="no communication backend"):
        mx.distributed.init(strict=True)
    with pytest.raises(RuntimeError, match="cannot be split"):
        mx.distributed.init().split(0)
    with pytest.raises(ValueError, match="expected a backend"):
        mx.distributed.init(backend="foo")


def test_streams_of_threads():
    shared = mx.new_thread_local_stream(mx.cpu)
    assert shared.device == mx.Device(mx.cpu)
    assert mx.add(mx.array(1), mx.array(2), stream=shared).item() == 3
    own = mx.new_thread_unsafe_stream(mx.cpu)
    with mx.stream(shared), mx.stream(own):
        assert mx.default_stream(mx.cpu) == own
    mx.set_default_stream(own)
    mx.clear_streams()
    assert mx.default_stream(mx.cpu) != own
    with pytest.raises(TypeError, match="expected a Device"):
        mx.new_thread_local_stream(3)


def test_bytes_of_buffers_are_counted_once():
    a = mx.zeros((1024, 4))
    with pytest.raises(ValueError, match="evaluated"):
        mx.get_array_buffer_size(a)
    view = a[1:]
    mx.eval(a, view)
    assert mx.get_array_buffer_size() == 0
    one = mx.get_array_buffer_size(a)
    assert one >= a.nbytes
    assert mx.get_array_buffer_size([a, {"view": view}], (a, 3)) == one

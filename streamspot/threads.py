"""One thread for small work: pictures of 160 px, one tick at a time."""

from __future__ import annotations


def one_thread() -> None:
    """Let OpenCV, PyTorch and the matrix products of NumPy use one thread each, whatever the environment says.

    A pool of threads costs more than it saves on so little work: those who wait for more of it keep a second core
    busy, and on a busy machine each product would wake them and wait for them. This holds for the whole process, so
    streams opened from Python do not do it by themselves: call it once, before the first of them.

    Example:
        >>> import streamspot
        >>> streamspot.one_thread()
    """
    import cv2  # noqa: PLC0415 - both take a while
    import torch  # noqa: PLC0415
    from threadpoolctl import threadpool_limits  # noqa: PLC0415

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    threadpool_limits(1)

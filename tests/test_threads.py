"""Promises about threads: small work takes one, whatever the environment says; a library user decides for himself."""

from __future__ import annotations

import os
import subprocess
import sys


def run(code: str) -> str:
    """Run a script with an environment that asks for many threads and return what it prints."""
    many = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "4")
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | many, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_program_takes_one_thread_for_small_products():
    """Matrix products, pictures and tensors: one each."""
    code = (
        "import numpy, cv2, torch\n"
        "from threadpoolctl import threadpool_info\n"
        "from streamspot.threads import one_thread\n"
        "one_thread()\n"
        "print({pool['num_threads'] for pool in threadpool_info()}, cv2.getNumThreads(), torch.get_num_threads())"
    )
    assert run(code) == "{1} 1 1"


def test_a_stream_in_somebodys_program_leaves_its_threads_alone():
    """Whoever uses the library decides for the whole process."""
    code = (
        "import torch, streamspot\n"
        "before = torch.get_num_threads()\n"
        "streamspot.FrameSpotter().close()\n"
        "print(torch.get_num_threads() == before)"
    )
    assert run(code) == "True"

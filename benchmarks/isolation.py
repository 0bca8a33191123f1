#!/usr/bin/env python3
"""What it costs that a pack runs in a process of its own: per call, and per byte of tensors.

    python benchmarks/isolation.py [--calls 500] [--megabytes 1 16 256]

A pack with one node that gives its input back is isolated, without requirements of its own. Shown are the start of
its worker, the time of a call with an integer, and for tensors how many GB go there and back in a second, beside
what copying the tensor once takes in this process. The cache is off, so each run calls the node.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from graphengine.isolation.environments import environment_of, make_environment
from graphengine.isolation.hosts import IsolatedPack, isolated_packs
from graphengine.packs.definitions import PackDefinitions
from graphengine.packs.discover import custom_packs
from graphengine.settings import load_settings

PACK = """
class Same:
    RETURN_TYPES, FUNCTION = ("*",), "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("*", {})}}

    def run(self, value):
        return (value,)


class First(Same):
    def run(self, value):
        return (float(value.reshape(-1)[0]),)


NODE_CLASS_MAPPINGS = {"Same": Same, "First": First}
"""


def isolated(root: Path) -> tuple[PackDefinitions, IsolatedPack]:
    """The pack in a folder, with an environment, ready to be called."""
    pack_folder = root / "custom_nodes" / "same"
    pack_folder.mkdir(parents=True)
    (pack_folder / "__init__.py").write_text(PACK)
    (root / "graphengine.toml").write_text("[packs.same]\nisolate = true\n")
    settings = load_settings(base_dir=root, device="cpu", environ={"GRAPHENGINE_CACHE": str(root / "cache")})
    (pack,) = custom_packs(settings.custom_nodes)
    begun = time.perf_counter()
    make_environment(environment_of(pack, settings.environments))
    print(f"environment without packages of its own    {time.perf_counter() - begun:8.3f} s")
    hosts = isolated_packs(settings, [pack])
    packs = PackDefinitions([pack])
    packs.elsewhere = hosts
    begun = time.perf_counter()
    packs.load(pack)
    print(f"start of the worker, import of the pack    {time.perf_counter() - begun:8.3f} s")
    return packs, hosts[pack]


def seconds(call: Callable[[], Any], times: int) -> float:
    """The median time of a call."""
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def main() -> None:
    """Measure, and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--megabytes", type=int, nargs="+", default=[1, 16, 256])
    args = parser.parse_args()
    import torch  # after the arguments are read: it takes seconds

    with tempfile.TemporaryDirectory() as folder:
        _, host = isolated(Path(folder))
        same, first = (host.node_class(name, None)() for name in ("Same", "First"))
        call = seconds(lambda: same.run(value=1), args.calls)
        print(f"a call with an integer                     {call * 1e6:8.0f} µs")
        first.run(value=torch.zeros(1))  # the worker imports torch
        for megabytes in args.megabytes:
            tensor, size = torch.rand(megabytes * 2**18), megabytes * 2**20 / 1e9
            times = max(5, min(50, 512 // megabytes))
            there = seconds(lambda: first.run(value=tensor), times)  # noqa: B023 (called at once)
            back = seconds(lambda: same.run(value=tensor), times)  # noqa: B023 (called at once)
            copy = seconds(tensor.clone, times)
            print(
                f"a tensor of {megabytes:4} MiB: there {size / there:6.2f} GB/s, there and back "
                f"{2 * size / back:6.2f} GB/s, copied here {size / copy:6.2f} GB/s"
            )
        host.close()


if __name__ == "__main__":
    main()

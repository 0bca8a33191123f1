"""A training loop that saves often, may be stopped at any moment and resumes exactly.

Everything random in step n is drawn from generators seeded with (stage, n), and the order of the pictures
from one seeded with the epoch, so weights, averages, optimiser and the step number are the whole state.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

SAVE_SECONDS = 120
SEED = 20_240


class Run:
    """One stage: its modules, optimiser, moving averages and step number, kept in a file."""

    def __init__(self, name: str, folder: Path, model: nn.Module, groups: list[dict], decay: float) -> None:
        self.name, self.folder, self.model, self.decay = name, folder, model, decay
        self.optimiser = torch.optim.AdamW(groups, betas=(0.9, 0.99), fused=True)
        self.rates = [group["lr"] for group in self.optimiser.param_groups]
        self.ema = {key: value.detach().clone() for key, value in model.state_dict().items()}
        self.step = 0
        if self.path.exists():
            self._restore()

    @property
    def path(self) -> Path:
        """The file of the last save."""
        return self.folder / f"{self.name}.pt"

    def _restore(self) -> None:
        state = torch.load(self.path, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.ema, self.step = state["ema"], state["step"]

    def save(self) -> None:
        """Write the state beside the old one, then rename."""
        state = {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "ema": self.ema,
            "step": self.step,
        }
        partial = self.path.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, self.path)

    def log(self, **values: float | str) -> None:
        """Append one line to the log."""
        line = {"stage": self.name, "step": self.step, "time": time.strftime("%H:%M:%S"), **values}
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def train(self, steps: int, loss_of: Callable[[int], dict[str, Tensor]]) -> None:
        """Take steps up to a total; loss_of gives the named losses of a step, 'loss' is followed."""
        self.log(event="start", planned=steps, threads=torch.get_num_threads())
        began = saved = time.monotonic()
        sums: dict[str, float] = {}
        first = self.step
        while self.step < steps:
            self._update(loss_of(self.step), steps, sums)
            if self.step % 50 == 0 or self.step == steps:
                seconds = (time.monotonic() - began) / (self.step - first)
                taken = self.step - first if self.step - first < 50 else 50
                means = {key: round(value / taken, 5) for key, value in sums.items()}
                self.log(**means, seconds=round(seconds, 4))
                sums.clear()
            if time.monotonic() - saved > SAVE_SECONDS and self.step % 50 == 0:
                self.save()
                saved = time.monotonic()
        self.save()
        self.log(event="done")

    def _update(self, losses: dict[str, Tensor], steps: int, sums: dict[str, float]) -> None:
        for group, rate in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = rate * schedule(self.step, steps)
        self.optimiser.zero_grad(set_to_none=True)
        losses["loss"].backward()
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        nn.utils.clip_grad_norm_(parameters, 1.0)
        self.optimiser.step()
        self.step += 1
        decay = min(self.decay, (self.step + 1) / (self.step + 10))
        values = self.model.state_dict()
        torch._foreach_lerp_([self.ema[key] for key in values], list(values.values()), 1 - decay)
        for key, value in losses.items():
            sums[key] = sums.get(key, 0.0) + value.item()


def schedule(step: int, steps: int, warm: int = 100, hold: float = 0.5) -> float:
    """Learning-rate factor: warm-up, a plateau, then half a cosine down to 2 %."""
    done = step / max(1, steps)
    fall = 0.0 if done < hold else (done - hold) / (1 - hold)
    return min(1.0, (step + 1) / warm) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * fall)))


def generator(stage: int, step: int) -> torch.Generator:
    """The source of randomness of one step."""
    return torch.Generator().manual_seed(SEED + stage * 1_000_003 + step * 7_919)


def batch_indices(step: int, batch: int, weights: Tensor) -> Tensor:
    """Picture numbers of a step: shuffled epochs in which picture i occurs weights[i] times."""
    pool = torch.repeat_interleave(torch.arange(len(weights)), weights)
    wanted = torch.arange(step * batch, (step + 1) * batch)
    epochs = wanted // len(pool)
    orders = {int(e): torch.randperm(len(pool), generator=generator(9, int(e))) for e in epochs.unique()}
    picked = [orders[int(epoch)][int(at)] for epoch, at in zip(epochs, wanted % len(pool), strict=True)]
    return pool[torch.stack(picked)]

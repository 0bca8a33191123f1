"""The training set: pictures of nameable things from Fluent Emoji 3D with their captions and tokens."""

from __future__ import annotations

import gzip
import html
import json
import re
import subprocess
import tarfile
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np
import torch
from PIL import Image
from torch import Tensor

PACKAGES = ("@lobehub/fluent-emoji-3d@1.1.0", "emojilib@4.0.3")
PICTURE_LIST = Path(__file__).with_name("pictures.txt")
VOCABULARY = Path(__file__).parents[2] / "nodes/graphengine_nodes/diffusion/data/bpe_simple_vocab_16e6.txt.gz"
BEGIN, END, CONTEXT = 49406, 49407, 77
LARGE = 128
CATEGORIES = {
    "Smileys & Emotion": "emotion",
    "Animals & Nature": "nature",
    "Food & Drink": "food",
    "Travel & Places": "travel",
    "Activities": "activity",
    "Objects": "object",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One picture of the list: its emoji, name, other names, category; emphasised ones are sampled more often."""

    emoji: str
    name: str
    aliases: tuple[str, ...]
    category: str
    emphasised: bool
    keywords: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The name and the other names."""
        return (self.name, *self.aliases)


@dataclass(frozen=True, slots=True)
class DataSet:
    """Entries and their RGBA pictures, uint8 (N, 4, 128, 128), colour premultiplied by alpha."""

    entries: tuple[Entry, ...]
    rgba: Tensor

    def on(self, background: Tensor, index: Tensor) -> Tensor:
        """Pictures composited on colours (B, 3), float 0..1, (B, 3, 128, 128)."""
        picture = self.rgba[index].float() / 255
        return picture[:, :3] + (1 - picture[:, 3:]) * background[:, :, None, None]

    def on_white(self, size: int) -> Tensor:
        """All pictures on white, float 0..1, (N, 3, size, size)."""
        index = torch.arange(len(self.entries))
        large = self.on(torch.ones(len(self.entries), 3), index)
        return large if size == LARGE else shrink(large, LARGE // size)


def shrink(picture: Tensor, factor: int) -> Tensor:
    """A picture made smaller by a whole factor through area averaging."""
    return torch.nn.functional.avg_pool2d(picture, factor)


def read_list(path: Path = PICTURE_LIST) -> list[Entry]:
    """The pictures to train on. Lines: '*' when emphasised, the emoji, its name, '|' and other names."""
    entries: list[Entry] = []
    category = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            category = CATEGORIES[line[2:]]
        elif line.strip():
            emoji, text = line[1:].split(maxsplit=1)
            name, *aliases = [part.strip() for part in re.split(r"[|,]", text)]
            entries.append(Entry(emoji, name, tuple(aliases), category, line[0] == "*"))
    return entries


def download(folder: Path) -> Path:
    """Fetch and unpack the npm packages below a folder; packages already there are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        target = folder / package.rsplit("@", 1)[0].rsplit("/", 1)[-1]
        if target.exists():
            continue
        done = subprocess.run(
            ["npm", "pack", "--silent", package], cwd=folder, check=True, capture_output=True, text=True
        )
        with tarfile.open(folder / done.stdout.split()[-1]) as archive:
            archive.extractall(target, filter="data")
    return folder


def build(emoji: Path, target: Path) -> None:
    """Read the listed pictures from unpacked packages and write the data set file."""
    assets = emoji / "fluent-emoji-3d" / "package" / "assets"
    words = json.loads((emoji / "emojilib/package/dist/emoji-en-US.json").read_text(encoding="utf-8"))
    entries, pictures = [], []
    for entry in read_list():
        keywords = tuple(word.replace("_", " ") for word in words.get(entry.emoji, [])[1:9])
        entries.append((entry.emoji, entry.name, entry.aliases, entry.category, entry.emphasised, keywords))
        pictures.append(_picture(assets, entry.emoji))
    torch.save({"entries": entries, "rgba": torch.stack(pictures)}, target)


def _picture(assets: Path, emoji: str) -> Tensor:
    points = [f"{ord(char):x}" for char in emoji]
    files = [assets / f"{'-'.join(kind)}.webp" for kind in (points, [p for p in points if p != "fe0f"])]
    path = next(file for file in files if file.exists())
    with Image.open(path) as image:
        pixels = torch.from_numpy(np.array(image.convert("RGBA"))).permute(2, 0, 1).float()
    pixels[:3] *= pixels[3:] / 255
    small = torch.nn.functional.interpolate(pixels[None], (LARGE, LARGE), mode="area")[0]
    return small.round().to(torch.uint8)


def load(path: Path) -> DataSet:
    """The data set written by build."""
    stored = torch.load(path, weights_only=True)
    return DataSet(tuple(Entry(*fields) for fields in stored["entries"]), stored["rgba"])


def caption(entry: Entry, random: Random) -> str:
    """One caption of a picture: mostly a plain name, sometimes in a sentence or with keywords, sometimes empty."""
    if random.random() < 0.1:
        return ""
    name = entry.name if random.random() < 0.65 else random.choice(entry.names)
    return random.choice(_forms(name, entry, random))


def _forms(name: str, entry: Entry, random: Random) -> list[str]:
    article = "an" if name[0].lower() in "aeiou" else "a"
    keyword = random.choice(entry.keywords or entry.names)
    return [
        *[name] * 8,
        *[f"{article} {name}"] * 2,
        f"{name}, 3d render",
        f"{name}, {entry.category}",
        f"{name}, {keyword}",
        f"a photo of {article} {name}",
        f"a picture of {article} {name}",
        f"{article} {name} on a white background",
    ]


def all_captions(entries: tuple[Entry, ...]) -> set[str]:
    """Every caption that training can draw."""
    found = {""}
    for entry in entries:
        for name in entry.names:
            for keyword in entry.keywords or entry.names:
                fixed = _Fixed(keyword)
                found.update(_forms(name, entry, fixed))
    return found


class _Fixed(Random):
    """A 'random' source whose choice is given."""

    def __init__(self, value: str) -> None:
        super().__init__(0)
        self.value = value

    def choice(self, _: object) -> str:  # type: ignore[override]
        return self.value


_WORDS = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|[^\s\w]+|_+", re.IGNORECASE)


def tokens(text: str) -> list[int]:
    """CLIP tokens of a text, 77 of them: begin, byte pairs, end, and end again as padding."""
    ids = [BEGIN]
    for word in _WORDS.findall(html.unescape(text.lower())):
        ids += _word_tokens(word)
    ids = ids[: CONTEXT - 1]
    return ids + [END] * (CONTEXT - len(ids))


@cache
def _word_tokens(word: str) -> list[int]:
    ranks, ids, byte_names = _vocabulary()
    parts = [byte_names[byte] for byte in word.encode()]
    parts[-1] += "</w>"
    while len(parts) > 1:
        pairs = list(pairwise(parts))
        best = min(pairs, key=lambda pair: ranks.get(pair, 10**9))
        if best not in ranks:
            break
        at = pairs.index(best)
        parts[at : at + 2] = ["".join(best)]
    return [ids[part] for part in parts]


@cache
def _vocabulary() -> tuple[dict[tuple[str, str], int], dict[str, int], dict[int, str]]:
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    byte_names = {byte: chr(byte) for byte in printable}
    byte_names |= {byte: chr(256 + index) for index, byte in enumerate(others)}
    lines = gzip.decompress(VOCABULARY.read_bytes()).decode().split("\n")[1:48895]
    merges = [(first, second) for first, second in (line.split() for line in lines)]
    symbols = [byte_names[byte] for byte in (*printable, *others)]
    names = [*symbols, *(f"{s}</w>" for s in symbols), *("".join(pair) for pair in merges)]
    ids = {name: index for index, name in enumerate(names)}
    return {pair: rank for rank, pair in enumerate(merges)}, ids, byte_names

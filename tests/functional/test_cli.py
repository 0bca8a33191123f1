"""The command line on small folders, as one table: arguments, exit code, and a text that must be there.

The last part of the table is everything bad that a stranger's file may hold: each is a message, never a traceback,
and nothing that was there is changed.
"""

import hashlib
import os
import resource
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from graphengine.cli import main
from graphengine.packs.discover import custom_packs
from graphengine.packs.project import TrustPolicy, read_project
from graphengine.packs.trust import Trust, trust_packs

ASSETS = Path(__file__).parent / "assets"
PACKS = ("core", "image", "diffusion")
HEAVY = ["torch", "numpy", "PIL", "scipy", "diffusers", "transformers", "rich", "yaml"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The assets and what is made for them, as the current folder, with all built-in packs installed."""
    info = tmp_path / "site" / "graphengine_comfy-0.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: graphengine-comfy\nVersion: 0.1.0\n")
    points = "".join(f"{name} = graphengine_nodes.{name}\n" for name in PACKS)
    (info / "entry_points.txt").write_text(f"[graphengine.nodes]\n{points}")
    monkeypatch.syspath_prepend(tmp_path / "site")
    folder = tmp_path / "place"
    shutil.copytree(ASSETS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    trust_packs(read_project(folder), Trust(TrustPolicy()), custom_packs([folder / "custom_nodes"]))
    make_bad_files(folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GRAPHENGINE_CACHE", str(tmp_path / "cache"))
    return folder


def make_bad_files(place: Path) -> None:
    """Files that are too large, too deep, too damaged or too clever to keep as they are."""
    flows, models, pictures = place / "workflows", place / "models" / "checkpoints", place / "input"
    models.mkdir(parents=True)
    pictures.mkdir()
    (flows / "empty.json").touch()
    (flows / "deep.json").write_text("[" * 10_000 + "]" * 10_000)
    with (flows / "large.json").open("wb") as file:
        file.write(b"[")
        file.truncate(200 * 10**6)  # no block of it is on the disk
    (flows / "plain.png").write_bytes(png())
    (flows / "model.json").write_bytes(struct.pack("<Q", 20) + b'{"__metadata__":{}} ')
    (place / "secret.png").write_bytes(png())
    (pictures / "apple.png").write_bytes(png())
    (pictures / "link.png").symlink_to(place / "secret.png")
    (pictures / "corrupt.png").write_bytes(png()[:40])
    (models / "pickle.ckpt").write_bytes(b"\x80\x02}q\x00.")
    (models / "truncated.safetensors").write_bytes(struct.pack("<Q", 10_000) + b'{"model.diffusion_model')


def png() -> bytes:
    """A picture of one pixel without any text."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0\xff\0\0")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def contents(folder: Path) -> dict[str, str]:
    """A hash of every file below a folder, without what a run is recorded in."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and _OWN.isdisjoint(path.parts) and path.stat().st_size < 10**8
    }


_OWN = frozenset({"__pycache__", ".graphengine"})

# (arguments, exit code, what stdout or stderr must hold)
GOOD = [
    ("--version", 0, "graphengine 0.1.0"),
    ("--help", 0, "graphengine run workflows/img2img.json"),
    ("run workflows/length.json", 0, "node 3 (PreviewAny): 7"),
    ("run workflows/length.json --set 1.value=fox", 0, "node 3 (PreviewAny): 3"),
    ("run workflows/length.json --target 2 --json", 0, '"status": "success"'),
    ("run workflows/length.json --events -", 0, '"kind": "run_finished"'),
    ("run workflows/save.json --quiet", 0, "output/saved.txt\n"),
    ("run workflows/save.json --output elsewhere -q", 0, "elsewhere/saved.txt\n"),
    ("validate workflows/length.json workflows/save.json --load-packs", 0, "save.json: fine"),
    ("convert workflows/length.json", 0, '"class_type": "StringLength"'),
    ("convert workflows/length.json --output api.json", 0, ""),
    ("nodes list", 0, "CheckpointLoaderSimple"),
    ("nodes list --category utils/primitive", 0, "PrimitiveInt"),
    ("nodes show KSampler", 0, "denoise"),
    ("nodes show TrialSave --load-packs", 0, "TrialSave"),
    ("models list checkpoints", 0, "pickle.ckpt"),
    ("schema api", 0, '"$schema"'),
    ("schema ui", 0, '"$schema"'),
]
WRONG_USAGE = [
    ("fly", 2, "No such command"),
    ("run", 2, "Missing argument"),
    ("run workflows/length.json --sed 1", 2, "No such option"),
    ("run workflows/length.json --seed x", 2, "--seed"),
    ("run workflows/length.json --seed 1", 2, "no node has a seed to set"),
    ("run workflows/length.json --set 1.value", 2, "write NODE.INPUT=VALUE"),
    ("run workflows/length.json --set 1.valeu=x", 2, "did you mean 'value'?"),
    ("run workflows/length.json --set StringLenght.string=x", 2, "did you mean 'StringLength'?"),
    ("run workflows/length.json --target 7", 2, "the workflow has no node '7'"),
    ("run workflows/length.json --input nowhere", 2, "the input folder 'nowhere' does not exist"),
    ("run workflows/length.json --output workflows/length.json", 2, "is a file"),
    ("run workflows/length.json --cache workflows/length.json", 2, "is a file"),
    ("run workflows/length.json --device gpu", 2, "use auto, cpu, cuda"),
    ("run workflows/length.json --base-dir nowhere", 2, "the base folder 'nowhere' does not exist"),
    ("convert workflows/length.json -o workflows/length.json", 2, "is not replaced"),
    ("models list lora", 2, "did you mean 'loras'?"),
    ("schema xml", 2, "xml"),
]
BAD_FILES = [
    ("run workflows/nothing.json", "there is no such file"),
    ("run workflows", "workflows: is a folder"),
    ("run workflows/empty.json", "the file is empty"),
    ("run workflows/broken.json", "not valid JSON"),
    ("run workflows/object.json", "this is no workflow: it looks like a package.json"),
    ("run workflows/plain.png", "the PNG picture holds no workflow"),
    ("run workflows/model.json", "the safetensors file holds no workflow"),
    ("run workflows/deep.json", "nested 10000 deep"),
    ("run workflows/large.json", "the file is too large for a workflow"),
    ("run workflows/nan.json", "1.inputs.value: nan is not a finite number"),
    ("run workflows/infinite.json", "1.inputs.value: inf is not a finite number"),
    ("run workflows/unknown_node.json", "node 1 (StringLenght)"),
    ("run workflows/cycle.json", "[cycle]"),
    ("run workflows/dangling_link.json", "node 3 (PreviewAny): input 'source'"),
    ("run workflows/no_output.json", "[no_output_node]"),
    ("run workflows/wrong_type.json", "node 1 (PrimitiveInt): input 'value' takes a whole number, is 'many'"),
    ("run workflows/too_large.json", "node 1 (PrimitiveInt): input 'value' is 10"),
    ("run workflows/missing_input.json", "node 1 (StringLength): input 'string'"),
    ("run workflows/missing_model.json", "node 4 (CheckpointLoaderSimple): input 'ckpt_name'"),
    ("run workflows/pickle.json", "pickle"),
    ("run workflows/truncated.json", "node 4 (CheckpointLoaderSimple)"),
    ("run workflows/image_missing.json", "did you mean 'apple.png'?"),
    ("run workflows/image_outside.json", "node 1 (LoadImage): input 'image'"),
    ("run workflows/image_absolute.json", "node 1 (LoadImage): input 'image'"),
    ("run workflows/image_link.json", "node 1 (LoadImage): input 'image'"),
    ("run workflows/image_corrupt.json", "node 1 (LoadImage)"),
    ("run workflows/failure.json", "node 1 (TrialFailure): ValueError: out of paint"),
    ("run workflows/interrupted.json", "the run was cancelled"),
    ("validate workflows/broken.json workflows/cycle.json", "workflows/broken.json: 1 problem"),
    ("convert workflows/broken.json", "not valid JSON"),
    ("convert workflows/length.json --definitions workflows/broken.json", "broken.json is not valid JSON"),
    ("nodes show PreviewAll", "did you mean 'PreviewAny'?"),
    ("nodes list --category utlis", "did you mean 'utils'?"),
]


@pytest.mark.parametrize(("arguments", "code", "text"), GOOD + WRONG_USAGE, ids=lambda value: str(value)[:60])
def test_a_command_ends_with_its_code_and_says(
    place: Path, capsys: pytest.CaptureFixture[str], arguments: str, code: int, text: str
) -> None:
    assert main(_on_cpu(arguments)) == code
    out, err = capsys.readouterr()
    assert text in out + err
    assert "Traceback" not in err


@pytest.mark.parametrize(("arguments", "text"), BAD_FILES, ids=[arguments for arguments, _ in BAD_FILES])
def test_a_bad_file_is_a_message_and_damages_nothing(
    place: Path, capsys: pytest.CaptureFixture[str], arguments: str, text: str
) -> None:
    before = contents(place)
    assert main(_on_cpu(arguments)) == 1
    out, err = capsys.readouterr()
    assert text in out + err
    assert "Traceback" not in out + err
    assert "unexpected" not in err
    assert contents(place) == before


def _on_cpu(arguments: str) -> list[str]:
    """The arguments; a run does not look for the best device, which costs the import of torch."""
    argv = arguments.split()
    return [*argv, "--device", "cpu"] if argv[0] == "run" and "--device" not in argv else argv


def on_full_disk(arguments: str) -> int:
    """The exit code of a command while no file can grow, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        return main(_on_cpu(arguments))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("run workflows/save.json --no-cache", "node 1 (TrialSave): OSError: [Errno 27] File too large"),
        ("run workflows/picture.json --no-cache", "node 2 (SaveImage): cannot write to"),
        ("run workflows/length.json --no-cache --events events.jsonl", "error: File too large"),
        ("convert workflows/length.json --output api.json", "cannot write api.json: File too large"),
    ],
)
def test_a_full_disk_is_a_message_and_damages_nothing(
    place: Path, capsys: pytest.CaptureFixture[str], arguments: str, text: str
) -> None:
    before = contents(place / "input") | contents(place / "workflows")
    assert on_full_disk(arguments) == 1
    out, err = capsys.readouterr()
    assert text in out + err
    assert "Traceback" not in out + err
    assert contents(place / "input") | contents(place / "workflows") == before
    assert not [path for path in place.rglob("*") if path.suffix in (".part", ".tmp")]


def test_a_cache_on_a_full_disk_is_a_warning_and_the_run_goes_on(
    place: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert on_full_disk("run workflows/length.json") == 0
    assert "0 from the cache" in capsys.readouterr().out
    assert len([record for record in caplog.records if "nothing is cached" in record.message]) == 1


def test_a_run_from_the_cache_imports_nothing_heavy(place: Path) -> None:
    """Of a second process; the first one fills the cache."""
    code = (
        "import sys; from graphengine.cli import main; code = main(['run', 'workflows/length.json']);"
        f"print(code, [name for name in {HEAVY!r} if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
        )
    assert "0 run, 1 from the cache" in done.stdout
    assert done.stdout.splitlines()[-1] == "0 []"

"""Write the vocabularies of T5, umT5 and Qwen2 as package data, from a source package that holds them as C arrays.

    pip download --no-deps --no-binary stable-diffusion-cpp-python stable-diffusion-cpp-python==0.4.7
    python scripts/build_tokenizer_data.py stable_diffusion_cpp_python-0.4.7.tar.gz

The vocabularies are Google's (T5, umT5) and Alibaba's (Qwen2), all under Apache-2.0; the licence lies beside
the data. On Hugging Face the same files are beside google/t5-v1_1-xxl and google/umt5-xxl (tokenizer.json) and
beside Qwen/Qwen2.5-VL-7B-Instruct (merges.txt). xz takes a while at its highest compression.
"""

from __future__ import annotations

import lzma
import re
import sys
import tarfile
from pathlib import Path

DATA = Path(__file__).parent.parent / "nodes/graphengine_nodes/diffusion/data"
FOLDER = "vendor/stable-diffusion.cpp/src/tokenizers/vocab"

#: File of the package, array in it, file to write.
SOURCES = (
    ("clip_t5.hpp", "t5_tokenizer_json_str", "t5_tokenizer.json.xz"),
    ("umt5.hpp", "umt5_tokenizer_json_str", "umt5_tokenizer.json.xz"),
    ("qwen.hpp", "qwen2_merges_utf8_c_str", "qwen2_merges.txt.xz"),
)


def read_array(source: str, name: str) -> bytes:
    """The bytes of a C array of numbers."""
    found = re.search(rf"{name}\s*\[\s*\]\s*=\s*\{{(.*?)\}}", source, re.DOTALL)
    if found is None:
        raise SystemExit(f"the package holds no array {name!r}")
    return bytes(int(number, 0) for number in re.findall(r"0x[0-9a-fA-F]+|\d+", found[1]))


def main(package: Path) -> None:
    """Write every vocabulary of the package."""
    with tarfile.open(package) as archive:
        for file, name, target in SOURCES:
            member = next(m for m in archive.getmembers() if m.name.endswith(f"{FOLDER}/{file}"))
            stream = archive.extractfile(member)
            if stream is None:
                raise SystemExit(f"{member.name} is no file")
            content = read_array(stream.read().decode(), name)
            (DATA / target).write_bytes(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

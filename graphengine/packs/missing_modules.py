"""Which package has a module that a pack misses."""

from collections.abc import Mapping

from graphengine.packs.discover import Pack
from graphengine.packs.requirements import required_in_folder

#: Packages whose modules have another name; where several have a module, the one to install is the first.
PACKAGES: Mapping[str, tuple[str, ...]] = {
    "Crypto": ("pycryptodome",),
    "PIL": ("pillow",),
    "OpenGL": ("pyopengl",),
    "attr": ("attrs",),
    "bs4": ("beautifulsoup4",),
    "clip": ("openai-clip", "clip-anytorch"),
    "color_matcher": ("color-matcher",),
    "colour": ("colour-science",),
    "cv2": (
        "opencv-python-headless",
        "opencv-python",
        "opencv-contrib-python",
        "opencv-contrib-python-headless",
    ),
    "dateutil": ("python-dateutil",),
    "docx": ("python-docx",),
    "dotenv": ("python-dotenv",),
    "fal_client": ("fal-client",),
    "fitz": ("pymupdf",),
    "git": ("gitpython",),
    "github": ("pygithub",),
    "google.genai": ("google-genai",),
    "imageio_ffmpeg": ("imageio-ffmpeg",),
    "magic": ("python-magic",),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
    "open_clip": ("open-clip-torch",),
    "psd_tools": ("psd-tools",),
    "serial": ("pyserial",),
    "skimage": ("scikit-image",),
    "sklearn": ("scikit-learn",),
    "transparent_background": ("transparent-background",),
    "usb": ("pyusb",),
    "websocket": ("websocket-client",),
    "yaml": ("pyyaml",),
    "zmq": ("pyzmq",),
}
_BUILT_WITH_TORCH = ("torchvision", "torchaudio")


def packages_of(module: str) -> tuple[str, ...]:
    """The names of packages that have a module, as indexes of packages write them; the usual one first."""
    top = module.partition(".")[0]
    return PACKAGES.get(module) or PACKAGES.get(top) or (top.replace("_", "-").lower(),)


def advice(pack: Pack, module: str) -> str:
    """What to do about a module that a pack misses."""
    folder = pack.path if pack.path is not None and pack.path.is_dir() else None
    listed = set(required_in_folder(folder)) if folder is not None else set()
    candidates = packages_of(module)
    named = next((name for name in candidates if name in listed), None)
    if named is not None:
        return f"the pack lists {named}: install it with: graphengine nodes sync {pack.name}"
    more = "; it must be the build that belongs to your torch" if candidates[0] in _BUILT_WITH_TORCH else ""
    return f"install it with: pip install {candidates[0]} (the pack does not list it){more}"

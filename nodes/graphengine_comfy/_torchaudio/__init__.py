"""torchaudio, for where it is not installed: packs can import and name all of it, and what they call says so."""

from graphengine_comfy._placeholders import placeholders_of

__version__ = "0.0+graphengine"
__getattr__ = placeholders_of(__name__)

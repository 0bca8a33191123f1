"""The part of torchvision that packs use most, for where it is not installed: resizing, cropping, blurring.

Written from its documentation. Whatever else it has raises an error that names it, at use and not at import.
`_absent_packages.py` says who gets it, docs/adr/0017-a-stand-in-for-torchvision.md why there is one.
"""

from graphengine_comfy._placeholders import modules_of

__version__ = "0.0+graphengine"
__getattr__ = modules_of(__name__)

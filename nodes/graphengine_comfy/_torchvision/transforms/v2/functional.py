"""The functions of the transforms under their newer names."""

from graphengine_comfy._torchvision.transforms.functional import *  # noqa: F403 (all of them are there too)
from graphengine_comfy._torchvision.transforms.functional import __getattr__ as __getattr__

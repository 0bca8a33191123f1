"""The parts of a UNet: classes to compare modules with."""

from graphengine_comfy._model_families import module_class
from graphengine_comfy._placeholders import placeholders_of

UNetModel = module_class(__name__, "UNetModel", ("LdmUNet",))
ResBlock = module_class(__name__, "ResBlock", ("ResnetBlock2D",))
Downsample = module_class(__name__, "Downsample", ("Downsample2D",))
Upsample = module_class(__name__, "Upsample", ("Upsample2D",))

__getattr__ = placeholders_of(__name__)

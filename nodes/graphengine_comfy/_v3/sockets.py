"""Socket types whose values come through a link, and inputs that take several types."""

from collections.abc import Iterable
from typing import Any

from graphengine_comfy._v3.inputs import ComfyType, Custom, Input, Options, WidgetInput, comfytype

AnyType = Custom("*")
Image = Custom("IMAGE")
Mask = Custom("MASK")
Latent = Custom("LATENT")
Conditioning = Custom("CONDITIONING")
Sampler = Custom("SAMPLER")
Sigmas = Custom("SIGMAS")
Noise = Custom("NOISE")
Guider = Custom("GUIDER")
Clip = Custom("CLIP")
ControlNet = Custom("CONTROL_NET")
Vae = Custom("VAE")
Model = Custom("MODEL")
ClipVision = Custom("CLIP_VISION")
ClipVisionOutput = Custom("CLIP_VISION_OUTPUT")
StyleModel = Custom("STYLE_MODEL")
Gligen = Custom("GLIGEN")
UpscaleModel = Custom("UPSCALE_MODEL")
LatentUpscaleModel = Custom("LATENT_UPSCALE_MODEL")
Audio = Custom("AUDIO")
AudioEncoder = Custom("AUDIO_ENCODER")
AudioEncoderOutput = Custom("AUDIO_ENCODER_OUTPUT")
Video = Custom("VIDEO")
SVG = Custom("SVG")
LoraModel = Custom("LORA_MODEL")
ModelPatch = Custom("MODEL_PATCH")
LossMap = Custom("LOSS_MAP")
Voxel = Custom("VOXEL")
Mesh = Custom("MESH")
File3DAny = Custom("FILE_3D")
Hooks = Custom("HOOKS")
HookKeyframes = Custom("HOOK_KEYFRAMES")
TimestepsRange = Custom("TIMESTEPS_RANGE")
LatentOperation = Custom("LATENT_OPERATION")
FlowControl = Custom("FLOW_CONTROL")
Accumulation = Custom("ACCUMULATION")
Load3DCamera = Custom("LOAD3D_CAMERA")
Load3D = Custom("LOAD_3D")
Load3DAnimation = Custom("LOAD_3D_ANIMATION")
Photomaker = Custom("PHOTOMAKER")
Point = Custom("POINT")
FaceAnalysis = Custom("FACE_ANALYSIS")
BBOX = Custom("BBOX")
SEGS = Custom("SEGS")
WanCameraEmbedding = Custom("WAN_CAMERA_EMBEDDING")
Tracks = Custom("TRACKS")


@comfytype(io_type="WEBCAM")
class Webcam(ComfyType):
    """A picture taken with a camera, as the name of its file."""

    Input = WidgetInput


@comfytype(io_type="COLOR")
class Color(ComfyType):
    """A colour as a text: `#ff8800`."""

    Input = WidgetInput


@comfytype(io_type="BOUNDING_BOX")
class BoundingBox(ComfyType):
    """A part of a picture, in pixels."""

    Input = WidgetInput


@comfytype(io_type="COMFY_MULTITYPED_V3")
class MultiType(ComfyType):
    """An input that takes several types."""

    class Input(Input):
        """`id` is a name, or an input whose widget it has; `types` are the socket types that it takes."""

        def __init__(
            self, id: str | Input, types: Iterable[type[ComfyType] | ComfyType], *arguments: Any, **common: Any
        ) -> None:
            self.widget = id if isinstance(id, Input) else None
            if isinstance(id, Input):
                common = {
                    "optional": id.optional,
                    "tooltip": id.tooltip,
                    "display_name": id.display_name,
                    "lazy": id.lazy,
                    "extra_dict": id.extra_dict,
                } | common
            super().__init__(id.id if isinstance(id, Input) else id, *arguments, **common)
            own = [self.widget.get_io_type()] if self.widget is not None else []
            self.types = list(dict.fromkeys([*own, *(kind.io_type for kind in types)]))

        def get_io_type(self) -> str:
            """The union of the types, with that of the widget first."""
            return ",".join(self.types)

        def as_dict(self) -> Options:
            """The options of the widget, if it has one, and its own."""
            return (self.widget.as_dict() if self.widget is not None else {}) | super().as_dict()

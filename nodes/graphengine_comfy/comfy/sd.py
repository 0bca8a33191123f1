"""Models from files."""

from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphengine.node.api import Folders, current_context
from graphengine_comfy._node_classes import outside
from graphengine_comfy._placeholders import placeholders_of

if TYPE_CHECKING:
    from torch import Tensor


class CLIPType(Enum):
    """What a text encoder is for; packs choose by name."""

    STABLE_DIFFUSION = 1
    STABLE_CASCADE = 2
    SD3 = 3
    STABLE_AUDIO = 4
    HUNYUAN_DIT = 5
    FLUX = 6
    MOCHI = 7
    LTXV = 8
    HUNYUAN_VIDEO = 9
    PIXART = 10
    COSMOS = 11
    LUMINA2 = 12
    WAN = 13
    HIDREAM = 14
    CHROMA = 15
    ACE = 16
    OMNIGEN2 = 17
    QWEN_IMAGE = 18
    HUNYUAN_IMAGE = 19
    HUNYUAN_VIDEO_15 = 20
    OVIS = 21
    KANDINSKY5 = 22
    KANDINSKY5_IMAGE = 23
    NEWBIE = 24
    FLUX2 = 25


# Any throughout: MODEL, CLIP and VAE are what our loaders give.
def load_checkpoint_guess_config(
    ckpt_path: str,
    output_vae: bool = True,
    output_clip: bool = True,
    output_clipvision: bool = False,
    embedding_directory: Any = None,
    output_model: bool = True,
    model_options: Any = None,
    te_model_options: Any = None,
) -> tuple[Any, Any, Any, Any]:
    """MODEL, CLIP, VAE and CLIP_VISION from a safetensors file; None for what is not asked for or not in it.

    Raises:
        ModelError: the file is damaged, no checkpoint, or of a family that graphengine does not know.
    """
    from graphengine_nodes.diffusion.families.families import find_family, network_part
    from graphengine_nodes.diffusion.text.embeddings import embedding_files
    from graphengine_nodes.diffusion.vision.loading import load_vision_of_checkpoint
    from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint  # brings torch

    checkpoint = open_checkpoint(Path(ckpt_path))
    device, family = (current_context.get() or outside()).device, find_family(checkpoint)
    files = embedding_files(_embedding_folders(embedding_directory))
    return (
        family.load_model(checkpoint, network_part(checkpoint), device) if output_model else None,
        family.load_clip(checkpoint, device, files) if output_clip else None,
        family.load_vae(checkpoint, device) if output_vae else None,
        load_vision_of_checkpoint(checkpoint, device) if output_clipvision else None,
    )


def load_checkpoint(
    config_path: str | None = None,
    ckpt_path: str | None = None,
    output_vae: bool = True,
    output_clip: bool = True,
    embedding_directory: Any = None,
    state_dict: Any = None,
    config: Any = None,
) -> tuple[Any, Any, Any]:
    """MODEL, CLIP and VAE of a safetensors file; of a configuration its name counts, as for CheckpointLoader.

    Raises:
        ModelError: the file is damaged, no checkpoint, or of a family that graphengine does not know.
        ValueError: no file is given.
    """
    from graphengine_nodes.diffusion.families.configurations import configured  # brings torch

    if ckpt_path is None:
        raise ValueError("load_checkpoint is given no ckpt_path; graphengine loads checkpoints from files")
    model, clip, vae, _ = load_checkpoint_guess_config(
        ckpt_path, output_vae, output_clip, False, embedding_directory
    )
    return configured("" if config_path is None else Path(config_path).name, model, clip, vae)


def load_diffusion_model(unet_path: str, model_options: Any = None) -> Any:
    """The MODEL of a safetensors file that holds a diffusion model alone.

    Raises:
        ModelError: the file is damaged, or of a family that graphengine does not know.
    """
    from graphengine_nodes.diffusion.families.families import load_model
    from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint  # brings torch

    return load_model(open_checkpoint(Path(unet_path)), (current_context.get() or outside()).device)


def load_clip(
    ckpt_paths: Sequence[str],
    embedding_directory: Any = None,
    clip_type: CLIPType = CLIPType.STABLE_DIFFUSION,
    model_options: Any = None,
) -> Any:
    """The CLIP of one type from safetensors files, in any order.

    Raises:
        ModelError: the files are not those that the type needs, or it is of a family that is not known.
    """
    from graphengine_nodes.diffusion.text.clip_files import EncoderFiles
    from graphengine_nodes.diffusion.text.clip_types import load_encoder
    from graphengine_nodes.diffusion.text.embeddings import embedding_files
    from graphengine_nodes.diffusion.text.text_towers.vocabularies import tokenizer_files
    from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint  # brings torch

    context = current_context.get() or outside()
    checkpoints = tuple(open_checkpoint(Path(path)) for path in ckpt_paths)
    embeddings = embedding_files(_embedding_folders(embedding_directory))
    files = EncoderFiles(checkpoints, context.device, embeddings, tokenizer_files(context.folders))
    return load_encoder(clip_type.name.lower(), files)


def load_lora_for_models(
    model: Any, clip: Any, lora: "Mapping[str, Tensor]", strength_model: float, strength_clip: float
) -> tuple[Any, Any]:
    """MODEL and CLIP with the changes of a LoRA's tensors; what is None stays None.

    Raises:
        ModelError: nothing fits, or the tensors change weights of other shapes.
    """
    from graphengine_nodes.diffusion.lora.formats import read_adapters
    from graphengine_nodes.diffusion.lora.lora import apply_lora  # brings torch

    return apply_lora(read_adapters("of a node pack", lora), model, clip, strength_model, strength_clip)


def _embedding_folders(given: Any) -> Folders:
    """The folder or the list of folders that a pack names; those of the run when it names none."""
    if given is None:
        return (current_context.get() or outside()).folders
    paths = [given] if isinstance(given, str) else given
    return Folders(models={"embeddings": tuple(Path(path) for path in paths)})


_missing = placeholders_of(__name__)


def __getattr__(name: str) -> Any:
    """`VAE` and `CLIP`, the types of our values, which bring torch; else a placeholder."""
    if name == "VAE":
        from graphengine_nodes.diffusion.vae.vae import VAE

        return VAE
    if name == "CLIP":
        from graphengine_nodes.diffusion.text.text_encode import TextEncoder

        return TextEncoder
    return _missing(name)

import numpy as np
import torch
from PIL import Image

from graphengine.node.api import NodeContext
from graphengine.node.folders import Folders
from graphengine_nodes.mask.nodes import MaskPreview


def test_a_mask_is_shown_as_a_grey_picture_in_the_folder_for_temporary_files(folders: Folders) -> None:
    shown = MaskPreview().save(torch.tensor([[[0.0, 0.5, 1.0]]]), NodeContext(folders=folders))
    (file,) = shown["ui"]["images"]
    assert (file["subfolder"], file["type"]) == ("", "temp")
    with Image.open(folders.temp / file["filename"]) as picture:
        assert np.asarray(picture)[0, :, 0].tolist() == [0, 127, 255]

"""Boxes of masks and of what detectors find."""

from graphengine_comfy._placeholders import placeholders_of
from graphengine_comfy._torchvision.ops import boxes
from graphengine_comfy._torchvision.ops.boxes import batched_nms, box_area, box_iou, masks_to_boxes, nms

__all__ = ["batched_nms", "box_area", "box_iou", "boxes", "masks_to_boxes", "nms"]
__getattr__ = placeholders_of(__name__)

"""Boxes (x1, y1, x2, y2) of masks and of what detectors find."""

import torch
from torch import Tensor


def masks_to_boxes(masks: Tensor) -> Tensor:
    """The box around what is not 0 in each mask; masks (N, H, W), boxes (N, 4)."""
    boxes = torch.zeros((len(masks), 4), device=masks.device, dtype=torch.float)
    for box, mask in zip(boxes, masks, strict=True):
        y, x = torch.where(mask != 0)
        box[:] = torch.stack([x.min(), y.min(), x.max(), y.max()])
    return boxes


def box_area(boxes: Tensor) -> Tensor:
    """The areas of boxes (N, 4)."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """What two boxes share, over what they cover together: (N, 4) and (M, 4) give (N, M)."""
    low = torch.max(boxes1[:, None, :2], boxes2[:, :2])
    high = torch.min(boxes1[:, None, 2:], boxes2[:, 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    return shared / (box_area(boxes1)[:, None] + box_area(boxes2) - shared)


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """The numbers of the boxes that no better one covers by more than the threshold, best first."""
    left = scores.argsort(descending=True, stable=True)
    kept = []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        if len(left):
            left = left[box_iou(boxes[best][None], boxes[left])[0] <= iou_threshold]
    return torch.stack(kept) if kept else left


def batched_nms(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
    """As `nms`, for each group of boxes by itself."""
    if not boxes.numel():
        return torch.empty(0, dtype=torch.int64, device=boxes.device)
    apart = idxs.to(boxes) * (boxes.max() + 1)
    return nms(boxes + apart[:, None], scores, iou_threshold)

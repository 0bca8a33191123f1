"""Stands in for ComfyUI's package `comfy_execution`: what nodes use of the executor."""

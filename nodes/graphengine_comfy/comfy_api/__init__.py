"""Stands in for ComfyUI's package `comfy_api`: what schema-based nodes import."""

"""Run saved ComfyUI workflows without ComfyUI."""

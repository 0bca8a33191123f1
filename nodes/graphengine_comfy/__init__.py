"""Stand-ins for the modules that ComfyUI packs import: one module here per module there."""

"""The schema-based (V3) node API, which `comfy_api.latest` shows to packs."""

"""Installing node packs and what they require, so that what worked before works after."""

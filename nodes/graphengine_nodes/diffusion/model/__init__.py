"""The MODEL value: a network, its noise levels, and all that nodes and node packs change about it."""

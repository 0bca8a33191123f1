"""Where a picture comes from: the graph, models, packs and licences that went into it, as statements others read."""

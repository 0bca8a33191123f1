"""Where a picture comes from: the graph, models, packs and licences, as statements that others can read."""

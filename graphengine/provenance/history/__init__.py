"""The history of a project: what ran, with what, and what it gave; kept in `.graphengine/` of its folder."""

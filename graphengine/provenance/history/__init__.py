"""The history of a project: what ran, with what, and what it gave; kept in `.graphengine/` of its folder."""

#: Name of the folder of a project's history, beside `graphengine.toml`.
HISTORY_FOLDER = ".graphengine"

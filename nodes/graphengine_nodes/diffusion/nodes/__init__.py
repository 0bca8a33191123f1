"""The node definitions: thin classes over the functions of the other packages."""

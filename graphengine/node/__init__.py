"""What a node type is: node API, socket types, definitions, registry."""

"""What runs did, and what that says about the next one: records, changes and their causes, estimates."""

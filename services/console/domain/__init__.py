"""What the console knows (`snapshot`) and how it is told (`view`, `charts`). Pure."""

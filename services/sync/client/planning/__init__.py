"""Pure decisions: three trees (local, remote, last synced) become a goal, a goal becomes actions."""

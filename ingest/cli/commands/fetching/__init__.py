"""Commands that query the source, or take over what another tool downloaded."""

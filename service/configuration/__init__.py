"""How a setting is declared, read, checked and shown; `service.settings` says which there are."""

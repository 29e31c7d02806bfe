"""The HTTP edge: routes and their order of business, one module per resource."""

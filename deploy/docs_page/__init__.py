"""The browsable API: one page that reads /openapi.json; a package so that its files are installed."""

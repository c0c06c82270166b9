"""The verbs of the API, one module per group of services, as exchanges."""

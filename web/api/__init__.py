"""The JSON API: endpoints, schemas and the OpenAPI description."""

"""Blob storage: bytes under names, in Redis or in an object store; and references by which Redis names objects."""

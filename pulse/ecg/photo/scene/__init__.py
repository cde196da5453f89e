"""A sheet on a desk before a camera: everything that a picture shows of it follows from where paper and camera are."""
